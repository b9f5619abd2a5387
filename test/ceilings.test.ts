// The bare programs that `npm run bench` compares with do the work of their rows: each answers as `web` does. A ceiling that has rotted, or leaves
// something out, would make every ratio worthless.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Ceiling } from '../bench/ceiling';
import { connect, type Connection } from '../bench/connection';
import { fill, httpRows, type HttpRow } from '../bench/http-rows';
import { connectSecurely } from '../bench/secure-connection';
import { shapeOfText } from '../bench/sides';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { makeCertificate, type Certificate } from './helpers/pki';
import { startSystem, type System } from './helpers/system';
import { testServers } from './setup/servers';

const PROGRAMS = path.join(__dirname, '..', 'dist', 'bench', 'ceilings');
/** Their answers name what they have made, or the address that they are reached at: those have the same fields. */
const ALIKE = ['create account (creation token)', 'page of accounts'];
/** What does less than its row says so, and has the account of the second client to show, on which nothing hangs. */
const LESS = ['express-sequelize-lean'];

let world: OutsideWorld;
let system: System;
let certificate: Certificate;
let environment: Record<string, string>;

beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 1, workers: 1, environment: { ...world.environment, RATE_LIMIT_PER_MINUTE: '0' } });
  await fill(system);
  const { directory } = testServers();
  certificate = await makeCertificate(directory);
  const [TLS_CERT_FILE, TLS_KEY_FILE] = ['ceiling-cert.pem', 'ceiling-key.pem'].map((file) => path.join(directory, file)) as [
    string,
    string,
  ];
  writeFileSync(TLS_CERT_FILE, certificate.cert);
  writeFileSync(TLS_KEY_FILE, certificate.key);
  environment = { ...system.environment, TLS_CERT_FILE, TLS_KEY_FILE };
  // The first client's account has one of everything, and of what is shown alone something newer and something used.
  for (const statement of [
    `UPDATE accounts SET dtmf_protocol = 'sipinfo', email = 'a@b.invalid', display_name = 'A', updated_at = now() + interval '1 hour' WHERE id = $1`,
    `INSERT INTO account_dictionary_entries (account_id, key, value) VALUES ($1, 'colour', 'blue')`,
    `INSERT INTO account_actions (account_id, key, code) VALUES ($1, 'door', '12')`,
    `WITH made AS (INSERT INTO account_types (key) VALUES ('phone') RETURNING id)
     INSERT INTO account_account_type (account_id, account_type_id) SELECT $1::integer, id FROM made`,
    `INSERT INTO activation_expirations (account_id, expires, created_at, updated_at) VALUES ($1, now() + interval '1 day', now(), now())`,
    `INSERT INTO email_change_codes (account_id, code, email, ip, created_at, updated_at)
     VALUES ($1, '1', 'old@b.invalid', '192.0.2.1', now(), now()), ($1, '2', 'new@b.invalid', '192.0.2.2', now(), now()), ($1, NULL, 'used@b.invalid', NULL, now(), now())`,
    `INSERT INTO provisioning_tokens (account_id, token, used, created_at) VALUES ($1, 'old', false, now()), ($1, 'new', false, now()), ($1, 'used', true, now())`,
  ])
    await system.db.query(statement, [(await system.rows<{ id: number }>(`SELECT id FROM accounts WHERE username = 'caller0'`))[0]?.id]);
});
afterAll(async () => {
  await system.stop();
  await world.close();
});

/** What a client of a row is answered, by its index. */
async function answerOf(row: HttpRow, port: number, connecting: Promise<Connection>, index = 0): Promise<string> {
  const connection = await connecting;
  try {
    const client = (await row.clients(port, index + 1))[index];
    if (!client) throw new Error('no client');
    const { status, body } = await connection.exchange(client());
    expect({ status, body: body() }).toMatchObject({ status: 200 });
    return body();
  } finally {
    connection.close();
  }
}

const compared = httpRows.flatMap((row) => (row.rivals ?? []).map(({ ceiling }) => ({ row, ceiling, name: row.name })));

test.each(compared)('$name: $ceiling answers as web does', async ({ row, ceiling }) => {
  const started = await Ceiling.start(ceiling, environment, testServers().directory, PROGRAMS);
  try {
    const port = Number(new URL(system.url).port);
    const index = LESS.includes(ceiling) ? 1 : 0;
    const ours = await answerOf(row, port, connect(port), index);
    const connecting = row.with === 'tls' ? connectSecurely(started.port, certificate.cert) : connect(started.port);
    const theirs = await answerOf(row, started.port, connecting, index);
    if (ALIKE.includes(row.name)) expect(shapeOfText(theirs)).toBe(shapeOfText(ours));
    else if (ours.startsWith('{') || ours.startsWith('[')) expect(JSON.parse(theirs)).toEqual(JSON.parse(ours));
    else expect(theirs).toBe(ours);
  } finally {
    started.stop();
  }
});

test('a report that a ceiling takes is stored', async () => {
  const row = httpRows.find(({ name }) => name === 'statistics: a message') as HttpRow;
  for (const { ceiling } of row.rivals ?? []) {
    const [before] = await system.rows<{ count: string }>('SELECT count(*) FROM statistics_messages');
    const started = await Ceiling.start(ceiling, environment, testServers().directory, PROGRAMS);
    await answerOf(row, started.port, connect(started.port));
    started.stop();
    const [after] = await system.rows<{ count: string }>('SELECT count(*) FROM statistics_messages');
    expect({ ceiling, stored: Number(after?.count) - Number(before?.count) }).toEqual({ ceiling, stored: 1 });
  }
});
