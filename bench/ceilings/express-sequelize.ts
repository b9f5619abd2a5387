// Ceiling: Express 5 and Sequelize's models, as they are ordinarily written: the caller by API key with its account and Space, then the account
// with everything that hangs on it.
import { createServer } from 'node:http';
import express from 'express';
import { Account, findByKey, isOpen, RELATED_MODELS } from './sequelize-models';
import { serve } from './serve';
import { type AccountRow, hashed, present } from './statements';

const newest = <Item extends { id: number }>(items: Item[]): Item | null => items.toSorted((a, b) => b.id - a.id)[0] ?? null;
type Loaded = Omit<AccountRow, 'dictionary' | 'passwords' | 'types' | 'actions'> & {
  passwords: { id: number; algorithm: string }[];
  email_change_codes: { id: number; account_id: number; code: string | null; created_at: string; updated_at: string | null }[];
  phone_change_codes: Loaded['email_change_codes'];
  provisioning_tokens: { id: number; token: string; used: boolean; created_at: string }[];
  dictionary: { key: string; value: string }[];
  types: { id: number; key: string }[];
  actions: { id: number; key: string; code: string }[];
};

async function findAccount(id: number): Promise<AccountRow | null> {
  const found = await Account.findByPk(id, { include: RELATED_MODELS });
  if (!found) return null;
  const { email_change_codes: emails, phone_change_codes: _, provisioning_tokens: tokens, ...account } = found.toJSON<Loaded>();
  const code = newest(emails.filter((row) => row.code !== null));
  const { id: _id, account_id: _account, code: _code, ...pending } = code ?? {};
  return {
    ...account,
    passwords: account.passwords.map(({ algorithm }) => ({ algorithm })),
    email_change_code: code && (pending as AccountRow['email_change_code']),
    phone_change_code: null,
    provisioning: newest(tokens.filter(({ used }) => !used)),
    dictionary: Object.fromEntries(account.dictionary.map(({ key, value }) => [key, value])),
    types: account.types.map(({ id: type, key }) => ({ id: type, key })),
    actions: account.actions.map(({ id: action, key, code: sent }) => ({ id: action, key, code: sent })),
  };
}

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const found = await findByKey(hashed(request.get('x-api-key')));
  const caller = found?.['account'] as ({ id: number } & Parameters<typeof isOpen>[0]) | undefined;
  const account = caller && isOpen(caller) ? await findAccount(caller.id) : null;
  if (account) response.json(present(account));
  else response.sendStatus(401);
});
serve(createServer(app));
