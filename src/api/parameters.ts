// What a path names, and what of it the caller may see.
import { notFound } from '../infra/errors';
import type { Caller } from '../http/route';
import { Account } from '../models';
import { visibleTo } from '../models/visibility';
import type { SipAddress } from '../infra/sip-uri';

/** A number in the path. @throws {ApiError} 404 where it is none that a row could have */
export function pathId(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) > 2147483647) throw notFound('route.not_found');
  return Number(text);
}

/** `user@domain` in the path, a leading `sip:` tolerated. @throws {ApiError} 404 without `@` */
export function pathSip(text: string): SipAddress {
  const address = text.trim().replace(/^sip:/i, '');
  const at = address.lastIndexOf('@');
  // A character that no column can hold names nothing.
  if (at < 1 || address.includes('\u0000')) throw notFound('account.not_found');
  return { username: address.slice(0, at), domain: address.slice(at + 1).toLowerCase() };
}

/** Text in the path that a column is compared with. @throws {ApiError} 404 for a character that no column can hold */
export function pathText(text: string): string {
  if (text.includes('\u0000')) throw notFound('route.not_found');
  return text;
}

/** The account that the path names by number. @throws {ApiError} 404 outside the caller's scope */
export async function requireAccount(id: string, caller: Caller): Promise<Pick<Account, 'id' | 'username' | 'domain'>> {
  const account = await Account.scope(visibleTo(caller)).findByPk(pathId(id), { attributes: ['id', 'username', 'domain'], raw: true });
  if (!account) throw notFound('account.not_found');
  return account;
}
