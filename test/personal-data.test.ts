// Whom something was sent to, and what it was, is nowhere but where it has to be: not in the figures, not in the logs, not in the ledger of what has ended.
import { randomUUID } from 'node:crypto';
import { Daemon } from './helpers/daemon';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { freePort } from '../src/start/ports';
import { eventually, request, startSystem, type Account, type System } from './helpers/system';

const KINDS = ['creation_token', 'notification', 'email_change', 'phone_change', 'account_creation', 'account_recovery', 'message'];
const TEXT = 'The text that nobody else may read';

let world: OutsideWorld;
let system: System;
let workerPort: number;
const daemon = new Daemon();
/** Whatever must be nowhere, and what it is. */
const secrets = new Map<string, string>();
const secret = (what: string, text: string): string => {
  secrets.set(text, what);
  return text;
};

beforeAll(async () => {
  world = await startOutsideWorld();
  await daemon.start();
  const environment = {
    ...world.environment,
    APP_LINPHONE_DAEMON_UNIX_PATH: daemon.path,
    APP_DANGEROUS_ENDPOINTS: 'true',
    MAIL_ALLOW_SELF_SIGNED: 'true',
    BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
  };
  workerPort = await freePort();
  system = await startSystem({ webs: 1, workers: 0, environment });
  await system.startWorker({ WORKER_PORT: String(workerPort) });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
});
afterAll(async () => {
  await system.stop();
  await world.close();
  await daemon.stop();
});

let serial = 0;
const next = (): number => (serial += 1);
const newEmail = (): string => secret('an address', `recognisable.person${next()}@mailbox.example.org`);
const newPhone = (): string => {
  const national = `6129876${String(next()).padStart(2, '0')}`;
  secret('a number, as it is dialled at home', national);
  return secret('a number', `+33${national}`);
};
const newDevice = (): { pn_provider: string; pn_param: string; pn_prid: string } => ({
  pn_provider: 'apns.dev',
  pn_param: 'TEAMID1234.org.linphone.phone',
  pn_prid: secret('a device', `fade${String(next()).padStart(60, 'b')}`),
});
const post = (route: string, body: object, key?: string): ReturnType<System['api']> =>
  system.api(route, { method: 'POST', body, ...(key === undefined ? {} : { key }) });
async function token(account: number | null = null): Promise<string> {
  const text = secret('a creation token', randomUUID().slice(0, 13));
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, $2, $3, now())', [
    text,
    account !== null,
    account,
  ]);
  return text;
}
async function person(): Promise<Account> {
  const account = await system.account(`asker-${next()}`);
  secret('an API key', account.key);
  await token(account.id);
  return account;
}

/** One send of each kind. @returns the answers' states */
async function sendAll(): Promise<number[]> {
  const { key } = await person();
  const admin = await system.account(`admin-${next()}`, { admin: true });
  const recovered = await system.account(`recovered-${next()}`);
  const phone = newPhone();
  await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [recovered.id, phone]);
  const password = secret('a password', `a-password-of-${next()}-somebody`);
  const created = { username: `created-${next()}`, password, algorithm: 'MD5', account_creation_token: await token(), email: newEmail() };
  const answers = [
    await post('/account_creation_tokens/send-by-push', newDevice()),
    await post('/push_notification', { ...newDevice(), type: 'background' }, key),
    await post('/accounts/me/email/request', { email: newEmail() }, key),
    await post('/accounts/me/phone/request', { phone: newPhone() }, key),
    await post('/accounts/public', created),
    await post('/accounts/recover-by-phone', { phone, account_creation_token: await token() }),
    await post('/messages', { to: secret('a SIP address', `sip:recognisable-${next()}@sip.example.org`), body: TEXT }, admin.key),
  ];
  secret('a text', TEXT);
  secret('an API key', admin.key);
  return answers.map(({ status }) => status);
}

/** What the program itself has made. */
async function madeSecrets(): Promise<void> {
  const made = await system.rows<{ token: string }>('SELECT token FROM account_creation_tokens');
  for (const { token: text } of made) secret('a creation token', text);
}

const CODES = `SELECT code FROM email_change_codes UNION SELECT code FROM phone_change_codes
  UNION SELECT confirmation_key FROM accounts WHERE confirmation_key IS NOT NULL`;

test('sends of each kind that go well and that fail leave it nowhere', async () => {
  expect((await sendAll()).map((status) => status < 300)).toEqual(KINDS.map(() => true));
  world.twilio.mode = { status: 400, body: JSON.stringify({ code: 21211, message: `The number ${newPhone()} is none`, status: 400 }) };
  world.apnsDev.mode = 'gone';
  world.smtp.mode = 'reject';
  daemon.mode = 'refuse';
  // Whoever waits is told; the mail about a new account is tried later.
  expect((await sendAll()).filter((status) => status >= 400).length).toBeGreaterThanOrEqual(4);
  const rows = await eventually(
    () => system.rows<Record<string, unknown>>('SELECT *, row_to_json(sends)::text AS text FROM sends'),
    (found) => found.length >= 2 * KINDS.length && found.filter(({ ended_at: end }) => end === null).length <= 1,
    30,
  );
  expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(KINDS));
  await madeSecrets();
  expect(secrets.size).toBeGreaterThan(20);

  const figures = await Promise.all([request(`${system.url}/metrics`), request(`http://127.0.0.1:${workerPort}/metrics`)]);
  for (const { text } of figures) expect(text).toContain('flexiapi_');
  const ended = rows.filter(({ ended_at: end }) => end !== null);
  const places = {
    'figures of web': figures[0].text,
    'figures of the worker': figures[1].text,
    'log of web': system.webs[0]?.output() ?? '',
    'log of the worker': system.workers[0]?.output() ?? '',
    ledger: ended.map(({ text }) => String(text)).join('\n'),
  };
  // What is looked for would be found.
  expect(places['log of web'].split('\n').length).toBeGreaterThan(10);
  expect(places['log of the worker']).toContain('"outcome":"sent"');
  for (const [place, text] of Object.entries(places))
    for (const [hidden, what] of secrets)
      expect([place, what, hidden, text.toLowerCase().includes(hidden.toLowerCase())]).toEqual([place, what, hidden, false]);

  // Codes have few digits, which a time or a count may have as well: a code is a text.
  const codes = (await system.rows<{ code: string | null }>(CODES)).flatMap(({ code }) => (code === null ? [] : [code]));
  expect(codes.length).toBeGreaterThan(2);
  for (const [place, text] of Object.entries(places))
    for (const code of codes) {
      const lines = text.split('\n').filter((line) => ['"', ' '].some((before) => line.includes(`${before}${code}"`)));
      expect([place, code, lines]).toEqual([place, code, []]);
    }
});
