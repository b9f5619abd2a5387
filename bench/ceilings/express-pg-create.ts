// Ceiling: Express 5, Joi and `pg`: an account made against a creation token in one transaction, with its password and provisioning token.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import express from 'express';
import Joi from 'joi';
import { serve } from './serve';
import { type AccountRow, ACCOUNTS, pool, present } from './statements';

interface NewAccount {
  username: string;
  password: string;
  algorithm: 'SHA-256' | 'MD5';
  account_creation_token: string;
}

const schema = Joi.object<NewAccount, true>({
  username: Joi.string()
    .max(64)
    .pattern(/^[a-z0-9+_.-]+$/)
    .required(),
  password: Joi.string().max(1024).required(),
  algorithm: Joi.string().valid('SHA-256', 'MD5').required(),
  account_creation_token: Joi.string().required(),
});

const SPACE = 'SELECT domain FROM spaces WHERE host = $1 AND (expire_at IS NULL OR expire_at > now())';
const INSERT = `
  WITH account AS (
    INSERT INTO accounts (username, domain, activated, ip_address, user_agent, created_at, updated_at)
    VALUES ($1, $2, false, '127.0.0.1', 'ceiling', now(), now()) RETURNING id
  ), password AS (
    INSERT INTO passwords (account_id, password, algorithm) SELECT id, $3, $4 FROM account
  ), token AS (
    INSERT INTO provisioning_tokens (account_id, token, created_at, updated_at) SELECT id, $5, now(), now() FROM account
  )
  SELECT id FROM account`;
const REDEEM = 'UPDATE account_creation_tokens SET used = true, account_id = $2, updated_at = now() WHERE token = $1 AND NOT used';

/** Makes an account. @returns undefined where the token is not good for one */
async function create(
  { username, password, algorithm, account_creation_token }: NewAccount,
  domain: string,
): Promise<AccountRow | undefined> {
  const ha1 = createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
    .update(`${username}:${domain}:${password}`)
    .digest('hex');
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const values = [username, domain, ha1, algorithm, randomBytes(16).toString('hex')];
    const id = (await client.query<{ id: number }>({ name: 'create', text: INSERT, values })).rows[0]?.id;
    const redeemed = await client.query({ name: 'redeem', text: REDEEM, values: [account_creation_token, id] });
    const { rows } = await client.query<AccountRow>({ name: 'account', text: `${ACCOUNTS} WHERE a.id = $1`, values: [id] });
    await client.query(redeemed.rowCount === 1 ? 'COMMIT' : 'ROLLBACK');
    return redeemed.rowCount === 1 ? rows[0] : undefined;
  } finally {
    client.release();
  }
}

const app = express();
app.post('/api/accounts/with-account-creation-token', express.json(), async (request, response) => {
  const { value, error } = schema.validate(request.body);
  if (error) return void response.sendStatus(422);
  const { rows } = await pool.query<{ domain: string }>({ name: 'space', text: SPACE, values: [request.hostname] });
  const account = rows[0] && (await create(value, rows[0].domain));
  if (account) response.json(present(account));
  else response.sendStatus(422);
});
serve(createServer(app));
