// `.env`, and names in it and in the environment that are no settings.
import { parseEnvFile } from '../config/env-file';
import { foreignNames } from '../config/foreign-names';
import { parseSettings, readSettings, table } from '../config/settings';

const names = Object.keys(table);
const faultsOf = (environment: Record<string, string>): string[] => readSettings(environment).faults;

describe('.env', () => {
  const valuesOf = (content: string): Record<string, string> => {
    const { values, faults } = parseEnvFile(content);
    expect(faults).toEqual([]);
    return Object.fromEntries(values);
  };

  test.each([
    ['A=1\nB = 2 \n\n# comment\n  C=3', { A: '1', B: '2', C: '3' }],
    ['A=1\r\nB="x"\r\n', { A: '1', B: 'x' }],
    ['\uFEFFA=1', { A: '1' }],
    ['A=1\rB=2', { A: '1', B: '2' }],
    ['A = "1 "\nB\t=\t\'2 \'', { A: '1 ', B: '2 ' }],
    // Nothing but a quote ends a text in single quotes.
    ["A='C:\\'\nB='2'", { A: 'C:\\', B: '2' }],
    ['export A=1\n\tB=2', { A: '1', B: '2' }],
    ['A=60 # Number of minutes\nB= # nothing\nC=\nD="x" # y\nE="x"# y', { A: '60', B: '', C: '', D: 'x', E: 'x' }],
    // A password, not a comment.
    ['A=abc#def', { A: 'abc#def' }],
    ['A="a # b"\nB=\'a "b" # c\'\nC=`a"b\'c`', { A: 'a # b', B: 'a "b" # c', C: 'a"b\'c' }],
    ['A="a\\nb"\nB=\'a\\nb\'\nC="re=\\"x\\", y"\nD="^\\d+$"', { A: 'a\nb', B: 'a\\nb', C: 're="x", y', D: '^\\d+$' }],
    ['A="-----BEGIN\nabc=\n-----END"\nB=1', { A: '-----BEGIN\nabc=\n-----END', B: '1' }],
    ['A=realm="a", b="c"', { A: 'realm="a", b="c"' }],
    ['A=${B}\nA="^x$"', { A: '^x$' }],
  ])('%j', (content, values) => expect(valuesOf(content)).toEqual(values));

  test.each([
    ['A: 1\nB=2', 'must be NAME=value'],
    ['PORT', 'must be NAME=value'],
    ['; A=1', 'must be NAME=value'],
    ['A-B=1', 'must be NAME=value'],
    ['A="x" y', 'has more behind its closing quote'],
    ['A="x', 'has a quote that is never closed'],
  ])('%j is refused with the number of its line', (content, fault) => {
    expect(parseEnvFile(`X=1\n\n${content}`).faults).toEqual([expect.stringMatching(new RegExp(`^\\.env, line 3: ${fault}`))]);
    // Not with its text, which may have a secret in it.
    expect(parseEnvFile(`geheim ${content}`).faults.join()).not.toContain('geheim');
  });

  test('what is not UTF-8', () => {
    expect(parseEnvFile(Buffer.from('\uFEFFA=1\n', 'utf16le').toString('utf8')).faults).toEqual(['.env is not UTF-8']);
    expect(faultsOf(Object.fromEntries(parseEnvFile(Buffer.from('APP_NAME=T\xe9l\xe9', 'latin1').toString('utf8')).values))).toEqual([
      expect.stringMatching(/^APP_NAME=.*no UTF-8/),
    ]);
  });

  test("Flexisip Account Manager's example, copied over, starts, and its names that do nothing here are told once", () => {
    const { values, faults } = parseEnvFile(
      [
        'APP_NAME=FlexiAPI\nAPP_ENV=local\nAPP_KEY=\nAPP_DEBUG=false\nAPP_URL=http://localhost\nAPP_SIP_DOMAIN=sip.example.com\n',
        'APP_API_KEY_EXPIRATION_MINUTES=60 # Number of minutes\nACCOUNT_REALM=null # Default realm',
        'ACCOUNT_TRANSPORT_PROTOCOL_TEXT="TLS (recommended), TCP or UDP" # Simple text\nACCOUNT_USERNAME_REGEX="^[a-z0-9+_.-]*$"',
        'ACCOUNT_PROVISIONING_OVERWRITE_ALL=\nMAIL_PORT=2525\nMAIL_FROM_ADDRESS=from@example.com\nDB_HOST=127.0.0.1\nDB_PORT=3306\nOVH_APP_KEY=',
        'OVH_APP_ENDPOINT=ovh-eu\nNOCAPTCHA_SECRET=secret-key\nNOCAPTCHA_SITEKEY=site-key\nWEB_PANEL=true',
        'APP_FLEXISIP_PUSHER_FIREBASE_KEYSMAP="project:/a.json"',
      ].join('\n'),
    );
    expect(faults).toEqual([]);
    const environment = Object.fromEntries([...values].filter(([, value]) => value !== ''));
    expect(faultsOf(environment)).toEqual([]);
    expect(parseSettings(environment)).toMatchObject({ ACCOUNT_REALM: undefined, APP_API_KEY_EXPIRATION_MINUTES: 60 });
    expect(foreignNames(environment, Object.keys(environment))).toBe(
      'settings that do nothing here: APP_ENV (here: NODE_ENV); APP_DEBUG (here: LOG_LEVEL); ACCOUNT_TRANSPORT_PROTOCOL_TEXT, WEB_PANEL; ' +
        'DB_HOST, DB_PORT (here: DATABASE_URL); OVH_APP_ENDPOINT (here: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM); ' +
        'NOCAPTCHA_SECRET, NOCAPTCHA_SITEKEY (here: HCAPTCHA_SECRET and HCAPTCHA_SITEKEY); APP_FLEXISIP_PUSHER_FIREBASE_KEYSMAP (here: FIREBASE_SERVICE_ACCOUNTS)',
    );
  });
});

test('names that do nothing here', () => {
  const told = (environment: Record<string, string>, inFile: string[] = Object.keys(environment)): string | undefined =>
    foreignNames(environment, inFile);
  // Of Flexisip Account Manager: wherever they come from.
  expect(told({ APP_FLEXISIP_PUSHER_PATH: '/x' }, [])).toContain(
    'APP_FLEXISIP_PUSHER_PATH (here: APNS_KEY_FILE and FIREBASE_SERVICE_ACCOUNTS)',
  );
  // What Kubernetes and Docker set is not an operator's.
  expect(told({ REDIS_PORT: 'tcp://10.0.0.1:6379', DB_PORT: 'udp://10.0.0.1:3306' }, [])).toBeUndefined();
  // In .env somebody wrote it.
  expect(told({ REDIS_PORT: 'tcp://10.0.0.1:6379' })).toContain('REDIS_PORT');
  // Slips, in .env alone.
  for (const [slip, meant] of [
    ['APP_SIP_DOMIAN', 'APP_SIP_DOMAIN'],
    ['REDIS_URI', 'REDIS_URL'],
    ['app_url', 'APP_URL'],
    ['TRUSTPROXY', 'TRUST_PROXY'],
    ['POTR', 'PORT'],
    // Nearer than MAIL_HOST, which is not too far either.
    ['MAIL_PORST', 'MAIL_PORT'],
  ] as const) {
    expect(told({ [slip]: '1' })).toBe(`settings that do nothing here: ${slip} (is ${meant} meant?)`);
    expect(told({ [slip]: '1' }, [])).toBeUndefined();
  }
  expect(told({ MAIL_SOMETHING: '1' })).toBe('settings that do nothing here: MAIL_SOMETHING');
  // Node's, Docker's and other people's.
  const others = [
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'POSTGRES_PASSWORD',
    'COMPOSE_PROJECT_NAME',
    'TZ',
    'HTTP_PROXY',
    'NO_PROXY',
    'PGHOST',
    'LANG',
    'DEBUG',
    'PATH',
    'NODE_VERSION',
    'HOST_UID',
    'LOG_DRIVER',
    'DATABASE_SCHEMA',
    'REDIS_MAXMEMORY',
  ];
  expect(told(Object.fromEntries(others.map((name) => [name, '1'])))).toBeUndefined();
  expect(told({ PORT: '1' })).toBeUndefined();
  // No setting is a slip of another one.
  expect(told(Object.fromEntries(names.map((name) => [name, '1'])))).toBeUndefined();
});
