// Remote provisioning (api.md 7, 12): the settings that a Linphone app fetches, and the tokens that open them.
import { readFileSync } from 'node:fs';
import { parse as parseIni } from 'ini';
import { create as createXml } from 'xmlbuilder2';
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { ApiError, forbidden, notFound } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { realmOf, replacePassword } from '../accounts/accounts';
import { randomText } from '../credentials/secrets';
import { findSpace, SPACE_FLAGS } from '../spaces/spaces';
import { turnCredentials } from './turn';

type Sections = Map<string, [name: string, value: string][]>;

function addSection(sections: Sections, name: string, entries: [string, string | number][]): void {
  sections.set(name, [...(sections.get(name) ?? []), ...entries.map(([entry, value]): [string, string] => [entry, String(value)])]);
}

/** The sections of ACCOUNT_PROVISIONING_RC_FILE; none where it is unset or cannot be read. */
function fileSections(): Sections {
  const sections: Sections = new Map();
  const file = settings.ACCOUNT_PROVISIONING_RC_FILE;
  if (file === undefined) return sections;
  try {
    for (const [name, entries] of Object.entries(parseIni(readFileSync(file, 'utf8')))) {
      if (typeof entries !== 'object' || entries === null) continue;
      addSection(
        sections,
        name,
        Object.entries(entries as Record<string, unknown>).map(([entry, value]) => [entry, String(value)]),
      );
    }
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'ACCOUNT_PROVISIONING_RC_FILE cannot be read');
  }
  return sections;
}

interface Provisioned {
  username: string;
  domain: string;
  display_name: string | null;
  passwords: { algorithm: string; password: string }[];
}

async function addAccount(sections: Sections, accountId: number, hasOwnUi: boolean): Promise<void> {
  const [account] = await select<Provisioned>(
    `SELECT a.username, a.domain, a.display_name,
            coalesce((SELECT json_agg(json_build_object('algorithm', p.algorithm, 'password', p.password) ORDER BY p.id) FROM passwords p WHERE p.account_id = a.id), '[]') AS passwords
       FROM accounts a WHERE a.id = $1`,
    [accountId],
  );
  if (!account) throw notFound('account.not_found');
  const { username, domain, display_name: name } = account;
  const space = await findSpace(domain);
  if (space && !hasOwnUi)
    addSection(sections, 'ui', [
      ...SPACE_FLAGS.map((flag): [string, number] => [flag, space[flag] ? 1 : 0]),
      ['max_account', space.max_account],
    ]);
  const quoted = name === null ? '' : `"${name.replace(/["\\]/g, '\\$&')}" `;
  addSection(sections, 'proxy_0', [['reg_identity', `${quoted}<sip:${username}@${domain}>`]]);
  let number = 0;
  const turn = turnCredentials();
  if (turn) {
    const ref = randomText(15);
    addSection(sections, 'net', [['nat_policy_ref', ref]]);
    addSection(sections, 'nat_policy_0', [
      ['ref', ref],
      ['stun_server', settings.COTURN_SERVER_HOST ?? ''],
      ['stun_server_username', turn.username],
      ['protocols', 'turn,ice'],
    ]);
    addSection(sections, `auth_info_${number}`, [
      ['username', turn.username],
      ['passwd', turn.password],
    ]);
    number += 1;
  }
  for (const { algorithm, password } of account.passwords) {
    addSection(sections, `auth_info_${number}`, [
      ['username', username],
      ['domain', domain],
      ['ha1', password],
      ['realm', realmOf(domain)],
      ['algorithm', algorithm],
    ]);
    number += 1;
  }
}

/** The XML document; the general settings alone where no account is given. */
export async function provisioningDocument(accountId: number | null): Promise<string> {
  const sections = fileSections();
  const hasOwnUi = sections.has('ui');
  addSection(sections, 'misc', [['contacts-vcard-list', `${settings.APP_URL}/contacts/vcard`]]);
  if (accountId !== null) await addAccount(sections, accountId, hasOwnUi);
  const root = createXml({ version: '1.0', encoding: 'UTF-8', invalidCharReplacement: '' }).ele(
    'http://www.linphone.org/xsds/lpconfig.xsd',
    'config',
  );
  for (const [name, entries] of sections) {
    const section = root.ele('section', { name });
    for (const [entry, value] of entries)
      section.ele('entry', { name: entry, ...(settings.ACCOUNT_PROVISIONING_OVERWRITE_ALL ? { overwrite: 'true' } : {}) }).txt(value);
  }
  return root.end({ prettyPrint: true });
}

interface ProvisioningToken {
  id: number;
  account_id: number;
  used: boolean;
  newest: boolean;
  expired: boolean;
  activation_expired: boolean;
  blocked: boolean;
}

async function findToken(token: string): Promise<ProvisioningToken | null> {
  const [found] = await select<ProvisioningToken>(
    `SELECT v.id, v.account_id, v.used, a.blocked, coalesce(x.expires <= now(), false) AS activation_expired,
            ($2 > 0 AND v.created_at <= now() - make_interval(mins => $2)) AS expired,
            v.id = (SELECT max(o.id) FROM provisioning_tokens o WHERE o.account_id = v.account_id AND NOT o.used) AS newest
       FROM provisioning_tokens v JOIN accounts a ON a.id = v.account_id LEFT JOIN activation_expirations x ON x.account_id = a.id
      WHERE v.token = $1 ORDER BY v.id DESC LIMIT 1`,
    [token, settings.APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES],
  );
  return found ?? null;
}

const isGood = (token: ProvisioningToken | null): token is ProvisioningToken =>
  token !== null && !token.used && token.newest && !token.activation_expired;

/** Whether a token could be used now; it stays unused. */
export async function isProvisioningTokenGood(token: string): Promise<boolean> {
  const found = await findToken(token);
  return isGood(found) && !found.expired;
}

/**
 * Uses a provisioning token up: its account is activated. Of two at once one wins.
 *
 * @param resetPassword gives the account a password, but only where it has none: anyone can add to an address, and must not
 *   change a password by it (api.md 12)
 * @returns the account's id
 * @throws {ApiError} 404, 410
 */
export async function spendProvisioningToken(token: string, resetPassword: boolean): Promise<number> {
  const found = await findToken(token);
  if (!isGood(found)) throw notFound('provisioning.invalid');
  if (found.expired) throw new ApiError(410, { key: 'provisioning.expired', values: {} });
  if (found.blocked) throw forbidden('auth.blocked');
  const id = found.account_id;
  const won = await inTransaction(async () => {
    if ((await execute('UPDATE provisioning_tokens SET used = true, updated_at = now() WHERE id = $1 AND NOT used', [found.id])) === 0)
      return false;
    const [account] = await select<{ username: string; domain: string }>(
      'UPDATE accounts SET activated = true, updated_at = now() WHERE id = $1 RETURNING username, domain',
      [id],
    );
    const passwords = resetPassword ? await select('SELECT 1 AS one FROM passwords WHERE account_id = $1', [id]) : [];
    if (account && resetPassword && passwords.length === 0)
      await replacePassword({ id, ...account }, settings.ACCOUNT_DEFAULT_PASSWORD_ALGORITHM, randomText(20));
    return true;
  });
  if (!won) throw notFound('provisioning.invalid');
  return id;
}
