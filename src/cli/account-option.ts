// The option --account, as several commands have it: an account's number or SIP address, or nobody.
import { withoutSipScheme } from '../infra/sip-uri';
import { MAX_ID, Refusal } from './command';

async function idOfAddress(given: string): Promise<number | undefined> {
  const address = withoutSipScheme(given.trim());
  const at = address.lastIndexOf('@');
  if (at < 1) return undefined;
  const { Account } = await import('../models/index.js');
  const { SYSTEM, visibleTo } = await import('../models/visibility.js');
  const named = Account.scope([visibleTo(SYSTEM), { method: ['named', address.slice(0, at)] }]);
  const found = await named.findOne({ attributes: ['id'], where: { domain: address.slice(at + 1).toLowerCase() }, raw: true });
  return found?.id;
}

async function idOfNumber(given: string): Promise<number | undefined> {
  if (!/^\d{1,10}$/.test(given) || Number(given) > MAX_ID) return undefined;
  const { Account } = await import('../models/index.js');
  const { SYSTEM, visibleTo } = await import('../models/visibility.js');
  return (await Account.scope(visibleTo(SYSTEM)).findByPk(Number(given), { attributes: ['id'], raw: true }))?.id;
}

/** The id of the account that was given. @throws {Refusal} where there is none */
export async function accountOf(given: string): Promise<number> {
  const id = (await idOfNumber(given)) ?? (await idOfAddress(given));
  if (id === undefined) throw new Refusal(`--account: there is no account ${given}; its number or SIP address is expected`);
  return id;
}

/** Whose a key is where no account was given: the super admin with the lowest id who is not blocked. @throws {Refusal} where there is none */
export async function firstSuperAdmin(): Promise<number> {
  const { findSuperAdmins } = await import('../models/spaces/super-admins.js');
  const [first] = await findSuperAdmins();
  if (!first)
    throw new Refusal('there is no super admin: bin/flexiapi accounts:create-admin makes one; or name another account by --account');
  return first.id;
}
