// The remote provisioning document: the settings that a Linphone app fetches, as XML of the schema lpconfig.xsd.
import { readFile, stat } from 'node:fs/promises';
import { settings } from '../../../config';
import { notFound } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { Account } from '../../models';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { ha1sOf, randomText, realmOf } from '../credentials/secrets';
import { findSpace, SPACE_FLAGS } from '../spaces/spaces';
import { parseLinphonerc, type Sections } from './linphonerc';
import { turnCredentials } from './turn';

/** Of a file's faults, so many are told. */
const MAX_FAULTS_TOLD = 20;

/** What was read of the file, and of which state of it; nothing is said twice of one state. */
let known: { state?: string; trouble?: string; sections: Sections } = { sections: new Map() };

/**
 * Reads the file where it is another one than before, since an operator may change it at any time. While it cannot be read what it said last counts.
 */
async function readChanged(file: string): Promise<void> {
  try {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    const state = `${ino} ${size} ${mtimeNs}`;
    if (known.state !== state) {
      const { sections, faults } = parseLinphonerc(await readFile(file, 'utf8'));
      known = { state, sections };
      if (faults.length > 0)
        log.warn(
          { file, lines: faults.length, faults: faults.slice(0, MAX_FAULTS_TOLD) },
          'ACCOUNT_PROVISIONING_RC_FILE has lines that cannot be used',
        );
    }
  } catch (error) {
    const trouble = reasonOf(error);
    if (known.trouble !== trouble) log.warn({ reason: trouble }, 'ACCOUNT_PROVISIONING_RC_FILE cannot be read');
    known = { trouble, sections: known.sections };
  }
}

let reading: Promise<void> | undefined;

/** The sections of ACCOUNT_PROVISIONING_RC_FILE, for the caller to add to; requests that come at once read it once. */
async function fileSections(): Promise<Sections> {
  const file = settings.ACCOUNT_PROVISIONING_RC_FILE;
  if (file === undefined) return new Map();
  await (reading ??= readChanged(file).finally(() => (reading = undefined)));
  return new Map([...known.sections].map(([name, entries]) => [name, new Map(entries)]));
}

/** A user as it stands in a SIP URI (RFC 3261, section 25.1). A plus sign may stand as it is, and phone numbers have one. */
const escapedUser = (username: string): string => encodeURIComponent(username).replaceAll('%2B', '+');

/** Adds entries of the server's own: one that the file has, too, gets this value, since an app takes one value for each name. */
function addSection(sections: Sections, name: string, entries: [string, string | number][]): void {
  const section = sections.get(name) ?? new Map<string, string>();
  for (const [entry, value] of entries) section.set(entry, String(value));
  sections.set(name, section);
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
  addSection(sections, 'proxy_0', [['reg_identity', `${quoted}<sip:${escapedUser(username)}@${domain}>`]]);
  // Apps read them from 0 on until one is missing; those of the file are for other servers.
  let number = 0;
  const addCredentials = (entries: [string, string][]): void => {
    while (sections.has(`auth_info_${number}`)) number += 1;
    addSection(sections, `auth_info_${number}`, entries);
  };
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
    addCredentials([
      ['username', turn.username],
      ['passwd', turn.password],
    ]);
  }
  // What DIGEST compares with: one of each algorithm.
  for (const [algorithm, ha1] of new Map(ha1sOf(account, account.passwords ?? [])))
    addCredentials([
      ['username', username],
      ['domain', domain],
      ['ha1', ha1],
      ['realm', realmOf(domain)],
      ['algorithm', algorithm],
    ]);
}

/**
 * The document: the settings of ACCOUNT_PROVISIONING_RC_FILE, then the server's own.
 *
 * @param accountId whose settings follow; null: no account's
 * @returns XML
 * @throws {ApiError} 404 where there is no such account
 */
export async function provisioningDocument(accountId: number | null): Promise<string> {
  const sections = await fileSections();
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
    if (entries.size === 0) continue;
    const section = root.ele('section', { name });
    for (const [entry, value] of entries)
      section.ele('entry', { name: entry, ...(settings.ACCOUNT_PROVISIONING_OVERWRITE_ALL ? { overwrite: 'true' } : {}) }).txt(value);
  }
  return root.end({ prettyPrint: true });
}
