// A mail goes out once: what a mail server may have taken is not sent again, what it cannot have taken is; at every moment of a session.
import type { Attempt } from '../workers/providers/delivery';
import { RawSmtp, type Deed, type Moment } from './helpers/raw-smtp';
import { Jobs } from './helpers/jobs';
import { startSystem } from './helpers/system';

const server = new RawSmtp();
const environment: Record<string, string> = {
  MAIL_HOST: '127.0.0.1',
  MAIL_USERNAME: 'mailer',
  MAIL_PASSWORD: 'mail-secret',
  MAIL_FROM_ADDRESS: 'no-reply@sip.example.org',
  MAIL_ALLOW_SELF_SIGNED: 'true',
  MAIL_REQUIRE_TLS: 'false',
};

let smtp: typeof import('../workers/providers/smtp', { with: { 'resolution-mode': 'require' } });
let delivery: typeof import('../workers/providers/delivery', { with: { 'resolution-mode': 'require' } });
let serial = 0;
const MAIL = { to: 'bob@example.org', subject: 'Your code', text: '0042\n', html: '<p>0042</p>' };

/** Sends as a worker does, with no breaker of another test. */
const send = (milliseconds = 5000): Promise<Attempt> =>
  delivery.deliver(
    { provider: `smtp ${(serial += 1)}`, recipient: MAIL.to },
    () => milliseconds,
    milliseconds,
    (signal) => smtp.sendSmtp(MAIL, signal),
  );

beforeAll(async () => {
  environment['MAIL_PORT'] = String(await server.listen());
  // Settings are read once, when the first module asks for them: a helper of this file already has.
  Object.assign(process.env, environment);
  jest.resetModules();
  smtp = await import('../workers/providers/smtp.js');
  delivery = await import('../workers/providers/delivery.js');
});
afterAll(() => {
  for (const name of Object.keys(environment)) delete process.env[name];
  smtp.closeSmtp();
  server.close();
});
beforeEach(() => server.reset());

/** One attempt, whose time is over once the server has come so far. */
async function sendUntil(reached: Promise<void>): Promise<Attempt> {
  const controller = new AbortController();
  const attempt = smtp.sendSmtp(MAIL, controller.signal);
  await reached;
  controller.abort();
  return attempt;
}

const BEFORE: Moment[] = ['connect', 'EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA'];

describe.each([{ extensions: [] as string[] }, { extensions: ['PIPELINING'] }])('with %j', ({ extensions }) => {
  const plan = (moment: Moment, deed: Deed, times?: number): Promise<void> => {
    const reached = server.plan(moment, deed, times);
    server.extensions = extensions;
    return reached;
  };

  test.each(BEFORE.flatMap((moment) => (['close', 'reset'] as const).map((deed) => [moment, deed] as const)))(
    '%s: %s → sent over another connection, once',
    async (moment, deed) => {
      void plan(moment, deed, 1);
      expect(await send()).toMatchObject({ outcome: 'sent' });
      expect([server.taken, server.connections]).toEqual([1, 2]);
    },
  );

  test.each(BEFORE)('%s: silence until the deadline → not sent', async (moment) => {
    expect((await sendUntil(plan(moment, 'hang'))).outcome).toBe('failed');
    expect([server.taken, server.connections]).toEqual([0, 1]);
  });

  test.each([
    ...(['text', 'dot'] as const).flatMap((moment) => (['close', 'reset', 'hang'] as const).map((deed) => [moment, deed] as const)),
    // A piece of an answer, and one that is none.
    ['dot', '2<close>'] as const,
    ['dot', '250 tak<close>'] as const,
    ['dot', '55<close>'] as const,
    ['dot', 'good-bye\r\n'] as const,
  ])('%s: %j → unknown, not sent again', async (moment, deed) => {
    const reached = plan(moment, deed);
    expect((await (deed === 'hang' ? sendUntil(reached) : send())).outcome).toBe('unknown');
    expect([server.taken, server.connections]).toEqual([moment === 'dot' ? 1 : 0, 1]);
  });

  test.each([...BEFORE, 'dot' as const])('%s: 4xx → the server has not taken it, so it is tried again', async (moment) => {
    // After a refused EHLO the client says HELO.
    void plan(moment, moment === 'connect' ? '421 later\r\n<close>' : '451 later\r\n', moment === 'EHLO' ? 2 : 1);
    expect(await send()).toMatchObject({ outcome: 'sent' });
    expect(server.taken).toBe(moment === 'dot' ? 2 : 1);
  });

  test.each([...BEFORE, 'dot' as const])('%s: 5xx → refused, once', async (moment) => {
    void plan(moment, '554 never\r\n');
    expect(await send()).toMatchObject({
      outcome: 'refused',
      reason_word: moment === 'RCPT' ? 'recipient_refused' : 'provider_refused',
      reason: 'SMTP 554',
      code: '554',
    });
    expect(server.connections).toBe(1);
  });
});

/** `server`: of itself or of us, whomever the mail is for; `recipient`: of whom it is for. RFC 5321, section 4.2.2, and RFC 3463, section 3. */
const TEMPORARY: [Moment, string, 'server' | 'recipient'][] = [
  ['connect', '421 4.3.2 not now\r\n<close>', 'server'],
  ['connect', '450 busy\r\n<close>', 'server'],
  ['EHLO', '421 4.3.2 not now\r\n<close>', 'server'],
  ['EHLO', '451 4.3.0 not now\r\n', 'server'],
  ['AUTH', '454 4.7.0 not now\r\n', 'server'],
  ['MAIL', '450 4.1.8 your domain was not found\r\n', 'server'],
  ['MAIL', '451 4.3.0 no memory\r\n', 'server'],
  ['MAIL', '452 4.3.1 no space\r\n', 'server'],
  ['RCPT', '421 4.7.0 too many errors\r\n<close>', 'server'],
  ['RCPT', '450 4.2.0 greylisted\r\n', 'recipient'],
  ['RCPT', '450 mailbox busy\r\n', 'recipient'],
  ['RCPT', '451 4.7.1 greylisted\r\n', 'recipient'],
  ['RCPT', '451 later\r\n', 'recipient'],
  ['RCPT', '451 4.3.0 no memory\r\n', 'server'],
  ['RCPT', '452 4.2.2 mailbox full\r\n', 'recipient'],
  ['RCPT', '452 4.3.1 no space\r\n', 'server'],
  ['DATA', '451 4.7.1 greylisted\r\n', 'recipient'],
  ['DATA', '451 4.3.0 no memory\r\n', 'server'],
  ['DATA', '451 later\r\n', 'server'],
  ['dot', '451 4.7.1 greylisted\r\n', 'recipient'],
  ['dot', '452 4.2.2 mailbox full\r\n', 'recipient'],
  ['dot', '452 4.3.1 no space\r\n', 'server'],
  ['dot', '451 later\r\n', 'server'],
];

test.each(TEMPORARY)('%s: %j is said of the %s', async (moment, deed, of) => {
  const provider = `smtp ${(serial += 1)}`;
  // Time for one attempt.
  const to = (recipient: string): Promise<Attempt> =>
    delivery.deliver(
      { provider, recipient },
      () => 299,
      299,
      (signal) => smtp.sendSmtp({ ...MAIL, to: recipient }, signal),
    );
  void server.plan(moment, deed);
  for (let n = 0; n < 6; n += 1) expect((await to('bob@example.org')).outcome).toBe('failed');
  server.reset();
  expect(await to('carol@example.org')).toMatchObject({ outcome: 'sent' });
  void server.plan(moment, deed);
  for (let n = 0; n < 5; n += 1) expect((await to(`bob${n}@example.org`)).outcome).toBe('failed');
  server.reset();
  expect((await to('carol@example.org')).outcome).toBe(of === 'recipient' ? 'sent' : 'failed');
});

test('the server hangs up after its answer: sent', async () => {
  void server.plan('dot', '250 taken\r\n<close>');
  expect(await send()).toMatchObject({ outcome: 'sent' });
  expect([server.taken, server.connections]).toEqual([1, 1]);
});

test('STARTTLS that fails: nothing was sent, and it is not tried in clear', async () => {
  void server.plan('STARTTLS', '220 go\r\n<close>');
  server.extensions = ['STARTTLS'];
  expect((await send(900)).outcome).toBe('failed');
  expect(server.taken).toBe(0);
});

test('a connection of the pool that the server drops with the next mail: another one carries it, once', async () => {
  expect(await send()).toMatchObject({ outcome: 'sent' });
  void server.plan('MAIL', 'close', 1, { keep: true });
  expect(await send()).toMatchObject({ outcome: 'sent' });
  expect([server.taken, server.connections]).toEqual([2, 2]);
});

describe('a password goes over TLS alone', () => {
  const outcomeUnder = async (extra: Record<string, string>): Promise<string> => {
    const system = await startSystem({ webs: 0, environment: { ...environment, MAIL_REQUIRE_TLS: '', ...extra } });
    const jobs = new Jobs(system, 'email');
    const [made] = await system.rows<{ id: number }>(
      `INSERT INTO email_change_codes (account_id, code, email, send_state, send_deadline, created_at)
       VALUES ($1, '0042', 'bob@example.org', 'due', now() + interval '1 minute', now() + interval '1 minute') RETURNING id`,
      [(await system.account('mail-owner')).id],
    );
    const outcome = await jobs.outcome({ kind: 'email_change', id: made?.id }, 6);
    await jobs.close();
    await system.stop();
    return outcome;
  };

  // What a server says to a STARTTLS that it did not offer, and to one whose offer was struck out on the way.
  test.each(['502 5.5.1 unknown command\r\n', '454 4.7.0 not now\r\n', '250 ok\r\n', '220 go\r\n<close>'])(
    'STARTTLS is not offered, and answered %j: neither AUTH nor MAIL',
    async (reply) => {
      void server.plan('STARTTLS', reply);
      expect(await outcomeUnder({})).toMatch(/^failed: [a-z_]+: SMTP /);
      expect(server.verbs).toContain('STARTTLS');
      expect(server.verbs.filter((verb) => verb === 'AUTH' || verb === 'MAIL')).toEqual([]);
    },
  );

  test('operators read why', async () => {
    void server.plan('STARTTLS', '502 5.5.1 unknown command\r\n');
    expect(await outcomeUnder({})).toBe('failed: provider_refused: SMTP 502: no STARTTLS, which MAIL_REQUIRE_TLS asks for');
  });

  test('turned off: as the server offers', async () => {
    expect(await outcomeUnder({ MAIL_REQUIRE_TLS: 'false' })).toBe('sent');
    expect(server.verbs).toContain('AUTH');
  });

  test('without a password it is off unless it is asked for', async () => {
    expect(await outcomeUnder({ MAIL_USERNAME: '', MAIL_PASSWORD: '' })).toBe('sent');
    server.reset();
    expect(await outcomeUnder({ MAIL_USERNAME: '', MAIL_PASSWORD: '', MAIL_REQUIRE_TLS: 'true' })).toMatch(
      /^failed: provider_refused: SMTP 454/,
    );
  });
});

describe('the row of a code', () => {
  test.each([
    ['dot', 'close', 20, /^unknown/, { code: '0042', send_state: 'sent' }],
    ['connect', 'hang', 1, /^failed/, undefined],
  ] as const)('%s: %s', async (moment, deed, seconds, outcome, row) => {
    const system = await startSystem({ webs: 0, environment });
    const jobs = new Jobs(system, 'email');
    void server.plan(moment, deed);
    const [made] = await system.rows<{ id: number }>(
      `INSERT INTO email_change_codes (account_id, code, email, send_state, send_deadline, created_at)
       VALUES ($1, '0042', 'bob@example.org', 'due', now() + interval '1 minute', now()) RETURNING id`,
      [(await system.account('mail-owner')).id],
    );
    expect(await jobs.outcome({ kind: 'email_change', id: made?.id }, seconds)).toMatch(outcome);
    expect((await system.rows('SELECT code, send_state FROM email_change_codes WHERE id = $1', [made?.id]))[0]).toEqual(row);
    expect([server.connections, server.taken]).toEqual([1, moment === 'dot' ? 1 : 0]);
    await jobs.close();
    await system.stop();
  });
});

test('a server that is not there: not sent, tried again within the time', async () => {
  server.close();
  expect(await send(900)).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(/^SMTP E/) as string });
});
