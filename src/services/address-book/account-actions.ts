// Actions of an account: codes that its device is sent by DTMF, so there are none without a DTMF protocol.
import { execute, select } from '../../infra/sequelize';
import { forbidden, notFound } from '../../infra/errors';

export interface AccountActionRow {
  id: number;
  key: string;
  code: string;
}
export type AccountActionValues = Omit<AccountActionRow, 'id'>;

/** @throws {ApiError} 404 outside the scope, 403 where the account has no DTMF protocol */
export async function requireDtmfProtocol(accountId: number, scope: string | null): Promise<void> {
  const [account] = await select<{ dtmf_protocol: string | null }>(
    'SELECT dtmf_protocol FROM accounts WHERE id = $1 AND ($2::text IS NULL OR domain = $2)',
    [accountId, scope],
  );
  if (!account) throw notFound('account.not_found');
  if (account.dtmf_protocol === null) throw forbidden('action.no_protocol');
}

export async function findActions(accountId: number): Promise<AccountActionRow[]> {
  return select<AccountActionRow>('SELECT id, key, code FROM account_actions WHERE account_id = $1 ORDER BY id', [accountId]);
}

export async function findAction(accountId: number, id: number): Promise<AccountActionRow | null> {
  const [row] = await select<AccountActionRow>('SELECT id, key, code FROM account_actions WHERE account_id = $1 AND id = $2', [
    accountId,
    id,
  ]);
  return row ?? null;
}

export async function createAction(accountId: number, { key, code }: AccountActionValues): Promise<AccountActionRow> {
  const [row] = await select<AccountActionRow>(
    'INSERT INTO account_actions (account_id, key, code, created_at, updated_at) VALUES ($1, $2, $3, now(), now()) RETURNING id, key, code',
    [accountId, key, code],
  );
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return row;
}

export async function updateAction(accountId: number, id: number, { key, code }: AccountActionValues): Promise<AccountActionRow | null> {
  const [row] = await select<AccountActionRow>(
    'UPDATE account_actions SET key = $3, code = $4, updated_at = now() WHERE account_id = $1 AND id = $2 RETURNING id, key, code',
    [accountId, id, key, code],
  );
  return row ?? null;
}

/** @returns whether there was one */
export async function deleteAction(accountId: number, id: number): Promise<boolean> {
  return (await execute('DELETE FROM account_actions WHERE account_id = $1 AND id = $2', [accountId, id])) === 1;
}
