// Making, changing, rotating and revoking the keys of machines. Nobody gives away more than he has.
import { inTransaction, isForeignKeyViolation, onUniqueViolation } from '../../infra/database';
import { conflict, type FieldErrors, fieldError, forbidden, notFound, unauthorized, unprocessable } from '../../infra/errors';
import { containsRange, formatIpRange } from '../../infra/ip-address';
import { log } from '../../infra/log';
import { Account, NamedApiKey, NamedApiKeySecret } from '../../models';
import { type Scope, type Scopes, scopesLacking } from '../../models/credentials/scopes';
import { NOW } from '../../models/moments';
import { SYSTEM, type Viewer, visibleTo } from '../../models/visibility';
import { hashApiKey, newNamedKey } from './secrets';

/** Who makes or changes a key. */
export interface KeyKeeper extends Viewer {
  /** What may be given away; null: everything. */
  readonly scopes: Scopes;
  /** Of the keeper, for the log; absent: the program itself, or an operator at the command line. */
  readonly account_id?: number;
  /** The named key by which the keeper came. */
  readonly named_key_id?: number;
}

/** The command line, and the program itself. */
export const OPERATOR: KeyKeeper = { ...SYSTEM, scopes: null };

/** What may be said of a key. Of the two ends one is set at most; none: it never expires. */
export interface KeyValues {
  name: string;
  scopes: Scope[];
  expires_at?: Date | null | undefined;
  expires_after_last_used_minutes?: number | null | undefined;
  /** Ranges as parseIpRange() writes them; null: from anywhere. */
  allowed_addresses?: string[] | null | undefined;
}

/** A key that is to be made. */
export interface NewKey extends KeyValues {
  account_id: number;
}

/** A key that was made, or has a new secret. */
export interface MadeKey {
  id: number;
  /** The key itself, which is kept nowhere. */
  api_key: string;
}

const nameTaken = (): Error => unprocessable(fieldError('name', 'field.taken'));

/** @throws {ApiError} 422 */
function requireGivable({ scopes }: KeyKeeper, wanted: readonly Scope[]): void {
  const [lacking] = scopesLacking(scopes, wanted);
  if (lacking !== undefined) throw unprocessable(fieldError('scopes', 'key.scope_lacking', { text: lacking }));
}

/** @throws {ApiError} 422 */
function requireOneEnd({ expires_at: at, expires_after_last_used_minutes: minutes }: Partial<KeyValues>): void {
  if (at && at.getTime() <= Date.now()) throw unprocessable(fieldError('expires_at', 'field.future'));
  if (at && minutes) throw unprocessable(fieldError('expires_after_last_used_minutes', 'key.one_end'));
}

/** What limits a key beside its scopes. */
type Limits = Pick<NamedApiKey, 'expires_at' | 'expires_after_last_used_minutes' | 'allowed_addresses'>;

const EVERYWHERE = ['0.0.0.0/0', '::/0'];

const isWithinEnd = (own: Date | number | null, wanted: Date | number | null): boolean =>
  own === null || (wanted !== null && wanted <= own);

/**
 * Where a key goes beyond the one by which its keeper came: what is bound to an address, or ends, must not become what is not.
 *
 * @param own of the keeper's key; undefined: the keeper came by none
 * @returns the limits that are wider; of addresses the first range that is
 */
function findExcess(own: Limits | undefined, wanted: Limits): FieldErrors {
  if (!own) return {};
  const errors: FieldErrors = {};
  for (const end of ['expires_at', 'expires_after_last_used_minutes'] as const)
    if (!isWithinEnd(own[end], wanted[end])) Object.assign(errors, fieldError(end, 'key.end_beyond'));
  const { allowed_addresses: allowed } = own;
  if (allowed === null) return errors;
  const outside = (wanted.allowed_addresses ?? EVERYWHERE).find((range) => !allowed.some((each) => containsRange(each, range)));
  return outside === undefined
    ? errors
    : { ...errors, ...fieldError('allowed_addresses', 'key.address_beyond', { text: formatIpRange(outside) }) };
}

/** @throws {ApiError} 422 */
function requireWithin(own: Limits | undefined, wanted: Limits): void {
  const excess = findExcess(own, wanted);
  if (Object.keys(excess).length > 0) throw unprocessable(excess);
}

async function addSecret(keyId: number): Promise<MadeKey> {
  const key = newNamedKey();
  await NamedApiKeySecret.create({ key_hash: hashApiKey(key), key_id: keyId }, { returning: false });
  return { id: keyId, api_key: key };
}

function tell(what: string, keeper: KeyKeeper, { id, name, account_id }: Pick<NamedApiKey, 'id' | 'name' | 'account_id'>): void {
  log.info({ key_id: id, key: name, account_id, by: keeper.account_id ?? null, by_key: keeper.named_key_id }, what);
}

/**
 * Makes a key.
 *
 * @param keeper who must see the account
 * @throws {ApiError} 422 for a name that another key of the account has, an account that the keeper does not see, a scope that the keeper lacks, or a moment
 *   that is past
 */
export async function createNamedKey({ account_id, ...values }: NewKey, keeper: KeyKeeper = OPERATOR): Promise<MadeKey> {
  requireGivable(keeper, values.scopes);
  requireOneEnd(values);
  const unknown = (): Error => unprocessable(fieldError('account_id', 'key.account'));
  if ((await Account.scope(visibleTo(keeper)).count({ where: { id: account_id } })) === 0) throw unknown();
  try {
    const made = await onUniqueViolation({ named_api_keys_account_name_key: nameTaken }, () =>
      inTransaction(async () => {
        const { own } = await lockKeys(keeper, []);
        requireWithin(own, { ...UNLIMITED, ...given(values) });
        return addSecret((await NamedApiKey.create({ account_id, ...given(values) })).id);
      }),
    );
    tell('an API key was made', keeper, { id: made.id, name: values.name, account_id });
    return made;
  } catch (error) {
    throw isForeignKeyViolation(error) ? unknown() : error;
  }
}

const UNLIMITED: Limits = { expires_at: null, expires_after_last_used_minutes: null, allowed_addresses: null };

/** Without what is absent: a column's own value stays. */
const given = <Values extends object>(values: Values): { [Name in keyof Values]: Exclude<Values[Name], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;

/**
 * Locks keys, in the order of ids, until the transaction ends, and the one by which the keeper came with them: it may have been revoked, or limited, since it
 * was shown, and gives away no more then. Else who asks again and again would have outlived that.
 *
 * @returns those of the ids that the keeper sees, and the keeper's own; without one the keeper came otherwise
 * @throws {ApiError} 401, 403
 */
async function lockKeys(keeper: KeyKeeper, ids: number[]): Promise<{ rows: NamedApiKey[]; own?: NamedApiKey }> {
  const { named_key_id: ownId, scopes } = keeper;
  const rows = await NamedApiKey.lock(keeper, ownId === undefined ? ids : [...ids, ownId]);
  if (ownId === undefined) return { rows };
  const own = rows.find(({ id }) => id === ownId);
  if (!own) throw unauthorized('auth.api_key');
  const [lost] = scopesLacking(own.scopes, scopes ?? []);
  if (lost !== undefined) throw forbidden('auth.scope', { scope: lost });
  return { rows, own };
}

/**
 * A key that the keeper sees and could have made, locked until the transaction ends, with the keeper's own.
 *
 * @throws {ApiError} 404; 403 where it may do more than the keeper's, ends later, or works from elsewhere; as lockKeys()
 */
async function lockKey(id: number, keeper: KeyKeeper): Promise<{ row: NamedApiKey; own?: NamedApiKey | undefined }> {
  const { rows, own } = await lockKeys(keeper, [id]);
  const row = rows.find((each) => each.id === id);
  if (!row) throw notFound('key.not_found');
  const [lacking] = scopesLacking(keeper.scopes, row.scopes);
  if (lacking !== undefined) throw forbidden('auth.scope', { scope: lacking });
  if (Object.keys(findExcess(own, row)).length > 0) throw forbidden('key.beyond');
  return { row, own };
}

/**
 * Changes what is said of a key; what is absent stays. One end takes the place of the other.
 *
 * @throws {ApiError} 404 where the keeper sees no such key; 403 where it may do more than the keeper; 422 as createNamedKey()
 */
export async function changeNamedKey(id: number, values: Partial<KeyValues>, keeper: KeyKeeper): Promise<void> {
  if (values.scopes) requireGivable(keeper, values.scopes);
  requireOneEnd(values);
  const replaced = values.expires_at
    ? { expires_after_last_used_minutes: null }
    : values.expires_after_last_used_minutes
      ? { expires_at: null }
      : {};
  const changed = await onUniqueViolation({ named_api_keys_account_name_key: nameTaken }, () =>
    inTransaction(async () => {
      const { row, own } = await lockKey(id, keeper);
      const changes = { ...given(values), ...replaced };
      requireWithin(own, { ...row.get(), ...changes });
      await NamedApiKey.scope(visibleTo(keeper)).update(changes, { where: { id } });
      return row;
    }),
  );
  tell('an API key was changed', keeper, changed);
}

/**
 * Gives a key a new secret.
 *
 * @param graceMinutes how long those before stay good; 0: they end at once, also those of which an earlier rotation said more
 * @throws {ApiError} 404 where the keeper sees no such key; 403 where it may do more than the keeper; 409 where its moment is past: another secret would not help
 */
export async function rotateNamedKey(id: number, graceMinutes: number, keeper: KeyKeeper): Promise<MadeKey> {
  const { row, made } = await inTransaction(async () => {
    const { row: locked } = await lockKey(id, keeper);
    if (locked.expires_at && locked.expires_at.getTime() <= Date.now()) throw conflict('key.ended');
    await NamedApiKeySecret.supersede(id, graceMinutes);
    await NamedApiKey.scope(visibleTo(keeper)).update({ secret_made_at: NOW }, { where: { id } });
    return { row: locked, made: await addSecret(id) };
  });
  tell('an API key was rotated', keeper, row);
  return made;
}

/** Deletes a key: it stops working at once, for every process. @returns whether the keeper saw such a key */
export async function revokeNamedKey(id: number, keeper: KeyKeeper): Promise<boolean> {
  const keys = NamedApiKey.scope(visibleTo(keeper));
  const row = await keys.findByPk(id, { attributes: ['id', 'name', 'account_id'] });
  if (!row || (await keys.destroy({ where: { id } })) === 0) return false;
  tell('an API key was revoked', keeper, row);
  return true;
}
