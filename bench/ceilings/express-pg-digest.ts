// Ceiling: as express-pg, with DIGEST (RFC 7616): the account with its hash, the count of the nonce, then the whole account.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import express from 'express';
import { serve } from './serve';
import { findAccount, pool, present } from './statements';

const secret = randomBytes(32);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const sign = (time: string): string => createHmac('sha256', secret).update(time).digest('hex');
/** Its moment, signed, so that none has to be kept. */
const newNonce = (time = `${Date.now()}.${randomBytes(4).toString('hex')}`): string => `${time}.${sign(time)}`;
const isOurs = (nonce: string): boolean => newNonce(nonce.slice(0, nonce.lastIndexOf('.'))) === nonce;

const ACCOUNT = `
  SELECT a.id, p.password FROM accounts a JOIN spaces s ON s.domain = a.domain JOIN passwords p ON p.account_id = a.id
   WHERE a.username = $1 AND a.domain = $2 AND p.algorithm = 'SHA-256' AND NOT a.blocked AND (s.expire_at IS NULL OR s.expire_at > now())`;
const COUNT = `
  INSERT INTO nonces (account_id, nonce, nc, created_at, updated_at) VALUES ($1, $2, $3, now(), now())
  ON CONFLICT (nonce) DO UPDATE SET nc = excluded.nc, updated_at = now() WHERE nonces.nc < excluded.nc`;

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const [, username = '', domain = ''] = /^sip:([^@]+)@(.+)$/.exec(request.get('from') ?? '') ?? [];
  const { rows } = await pool.query<{ id: number; password: string }>({ name: 'digest', text: ACCOUNT, values: [username, domain] });
  const [found] = rows;
  const challenge = (nonce: string): string => `Digest realm="${domain}",qop="auth",algorithm=SHA-256,nonce="${nonce}",opaque="o"`;
  const refuse = (): void => void response.set('www-authenticate', challenge(newNonce())).sendStatus(401);
  const directives = (request.get('authorization') ?? '').replaceAll('"', '').split(', ');
  const claim = new Map(directives.map((directive) => directive.split('=') as [string, string]));
  const [nonce = '', nc = '', cnonce = ''] = ['nonce', 'nc', 'cnonce'].map((name) => claim.get(name));
  if (!found || !isOurs(nonce)) return refuse();
  const expected = sha256(`${found.password}:${nonce}:${nc}:${cnonce}:auth:${sha256(`GET:${request.originalUrl}`)}`);
  if (claim.get('response') !== expected) return refuse();
  const counted = await pool.query({ name: 'count', text: COUNT, values: [found.id, nonce, Number.parseInt(nc, 16)] });
  if (counted.rowCount !== 1) return refuse();
  const account = await findAccount(found.id);
  if (!account) return refuse();
  response.set('www-authenticate', challenge(nonce)).json(present(account));
});
serve(createServer(app));
