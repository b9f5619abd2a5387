// The remote provisioning document: the settings that a Linphone app fetches, as XML of the schema lpconfig.xsd.
import { readFileSync } from 'node:fs';
import { parse as parseIni } from 'ini';
import { settings } from '../../../config';
import { notFound } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { Account } from '../../models';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { randomText, realmOf } from '../credentials/secrets';
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

async function addAccount(sections: Sections, accountId: number, hasOwnUi: boolean): Promise<void> {
  const account = await Account.scope(visibleTo(SYSTEM)).findByPk(accountId, {
    attributes: ['username', 'domain', 'display_name'],
    include: { association: 'passwords', attributes: ['algorithm', 'password'] },
    order: [['passwords', 'id', 'ASC']],
  });
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
  for (const { algorithm, password } of account.passwords ?? []) {
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

/**
 * The document: the settings of ACCOUNT_PROVISIONING_RC_FILE, then the server's own.
 *
 * @param accountId whose settings follow; null: no account's
 * @returns XML
 * @throws {ApiError} 404 where there is no such account
 */
export async function provisioningDocument(accountId: number | null): Promise<string> {
  const sections = fileSections();
  const hasOwnUi = sections.has('ui');
  addSection(sections, 'misc', [['contacts-vcard-list', `${settings.APP_URL}/contacts/vcard`]]);
  if (accountId !== null) await addAccount(sections, accountId, hasOwnUi);
  // Fetched once by an app, so most processes of most installations need it late or never.
  const { create: createXml } = await import('xmlbuilder2');
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
