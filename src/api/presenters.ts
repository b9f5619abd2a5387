// From rows to JSON: allow-lists, so that a new column never leaves by accident.
import { settings } from '../../config';
import { formatIpRange } from '../infra/ip-address';
import type { AccountView } from '../models/accounts/account-view';
import type {
  AccountAction,
  AccountCreationRequestToken,
  AccountCreationToken,
  AccountType,
  AuthToken,
  NamedApiKey,
  QueueAction,
  Space,
  VcardStorage,
} from '../models';
import type { ContactView } from '../models/address-book/contact-view';
import type { ContactsListView } from '../models/address-book/contacts-list';
import type { Device } from '../services/devices/registrar-contacts';
import type { JobView } from '../services/operations/queue-steering';
import { SPACE_FLAGS } from '../services/spaces/spaces';
import type { StoredCall, StoredCallDevice } from '../models/statistics/call';
import type { StoredMessageDevice } from '../models/statistics/message';

/** ISO 8601 in UTC with six decimals, as clients of older servers expect. */
export const presentDate = (moment: Date | string): string => new Date(moment).toISOString().replace('Z', '000Z');
const orNull = (moment: Date | string | null): string | null => (moment === null ? null : presentDate(moment));
/** `YYYY-MM-DD HH:MM:SS`, UTC. */
const presentPlainDate = (moment: Date | string): string => new Date(moment).toISOString().slice(0, 19).replace('T', ' ');

/** A moment `minutes` after another; null where `minutes` is 0, which stands for never. */
const presentExpiry = (from: Date | string, minutes: number): string | null =>
  minutes === 0 ? null : presentDate(new Date(new Date(from).getTime() + minutes * 60_000));

/** The base view: the owner's, and of most answers. */
export function presentAccount(view: AccountView): Record<string, unknown> {
  const { provisioning, activation_expiration: activation, email_change_code: emailCode } = view;
  return {
    id: view.id,
    username: view.username,
    domain: view.domain,
    email: view.email,
    phone: view.phone,
    display_name: view.display_name,
    dtmf_protocol: view.dtmf_protocol,
    activated: view.activated,
    blocked: view.blocked,
    admin: view.admin,
    ip_address: view.ip_address,
    user_agent: view.user_agent,
    created_at: presentDate(view.created_at),
    updated_at: orNull(view.updated_at),
    realm: settings.ACCOUNT_REALM ?? null,
    confirmation_key_expires: activation ? presentPlainDate(activation.expires) : null,
    provisioning_token: provisioning?.token ?? null,
    provisioning_token_expire_at: provisioning
      ? presentExpiry(provisioning.created_at, settings.APP_PROVISIONING_TOKEN_EXPIRATION_MINUTES)
      : null,
    dictionary: view.dictionary,
    passwords: view.passwords,
    activation_expiration: activation && {
      id: activation.id,
      account_id: activation.account_id,
      expires: presentPlainDate(activation.expires),
      created_at: presentDate(activation.created_at),
      updated_at: presentDate(activation.updated_at ?? activation.created_at),
    },
    email_change_code: emailCode && { email: emailCode.email, ...presentPending(emailCode) },
    types: view.types,
    actions: view.actions,
  };
}

type PendingCode = NonNullable<AccountView['email_change_code'] | AccountView['phone_change_code']>;

const presentPending = ({ ip, user_agent, created_at, updated_at }: PendingCode): Record<string, unknown> => ({
  ip,
  user_agent,
  created_at: presentDate(created_at),
  updated_at: orNull(updated_at),
});

/** The list view: a pending phone change beside the email's. */
export function presentListedAccount(view: AccountView): Record<string, unknown> {
  const { phone_change_code: phoneCode } = view;
  return { ...presentAccount(view), phone_change_code: phoneCode && { phone: phoneCode.phone, ...presentPending(phoneCode) } };
}

/** The admin view: both codes with the code itself. */
export function presentAccountToAdmin(view: AccountView): Record<string, unknown> {
  const { email_change_code: emailCode, phone_change_code: phoneCode } = view;
  return {
    ...presentAccount(view),
    email_change_code: emailCode && { email: emailCode.email, code: emailCode.code, ...presentPending(emailCode) },
    phone_change_code: phoneCode && { phone: phoneCode.phone, code: phoneCode.code, ...presentPending(phoneCode) },
  };
}

/** A creation token with its value; `expire_at` is null where tokens never expire. */
export function presentCreationToken(row: AccountCreationToken): Record<string, unknown> {
  const { token, pn_provider, pn_param, pn_prid, used, account_id, ip, user_agent, created_at } = row;
  return {
    token,
    ip,
    user_agent,
    expire_at: presentExpiry(created_at, settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES),
    pn_provider,
    pn_param,
    pn_prid,
    used,
    account_id,
  };
}

/** A request token; `validation_url` is the page for a person to open, null once one has validated it. */
export function presentRequestToken({
  token,
  validated_at,
}: Pick<AccountCreationRequestToken, 'token' | 'validated_at'>): Record<string, unknown> {
  return { token, validation_url: validated_at === null ? `${settings.APP_URL}/creation_token/check/${token}` : null };
}

const presentDates = (row: { created_at: Date; updated_at: Date | null }): Record<string, string> => ({
  created_at: presentDate(row.created_at),
  updated_at: presentDate(row.updated_at ?? row.created_at),
});

/** An auth token with its value, for the device that asked for it. */
export function presentAuthToken(row: AuthToken): Record<string, unknown> {
  const { id, token, account_id, ip, user_agent } = row;
  return { id, token, account_id, ip, user_agent, ...presentDates(row) };
}

/** A Space with all its settings, as PUT takes them. */
export function presentSpace(space: Space): Record<string, unknown> {
  const { domain, host, max_account, max_accounts, expire_at } = space;
  const flags = Object.fromEntries(SPACE_FLAGS.map((flag) => [flag, space[flag]]));
  return { domain, host, ...flags, max_account, max_accounts, expire_at: orNull(expire_at), ...presentDates(space) };
}

/** What others may see of an account: no token, no code, no address. */
export function presentContact(view: ContactView): Record<string, unknown> {
  const { id, username, domain, activated, dtmf_protocol, display_name, types, actions, dictionary } = view;
  return {
    id,
    username,
    domain,
    activated,
    dtmf_protocol,
    display_name,
    realm: settings.ACCOUNT_REALM ?? null,
    types,
    actions,
    dictionary,
  };
}

/** A contacts list and how many accounts are on it, without naming them. */
export function presentContactsList(list: ContactsListView): Record<string, unknown> {
  const { id, title, description, contacts_count } = list;
  return { id, title, description, ...presentDates(list), contacts_count };
}

/** A type; its dates stay inside. */
export const presentAccountType = ({ id, key }: AccountType): Record<string, unknown> => ({ id, key });
/** An action; its account is in the path. */
export const presentAccountAction = ({ id, key, code }: AccountAction): Record<string, unknown> => ({ id, key, code });

/** A stored vCard; its UID is the key under which lists show it. */
export const presentVcard = (stored: Pick<VcardStorage, 'vcard' | 'created_at' | 'updated_at'>): Record<string, unknown> => ({
  vcard: stored.vcard,
  ...presentDates(stored),
});

/** A device of the registrar's. */
export const presentDevice = ({ uuid, user_agent, update_time }: Device): Record<string, unknown> => ({
  uuid,
  user_agent,
  update_time: presentDate(update_time),
});

/** What a device answered to a message, after the report that is answered with it. */
export function presentMessageDevice(row: StoredMessageDevice): Record<string, unknown> {
  const { id, message_id, to_username, to_domain, device_id, last_status, received_at } = row;
  return { id, message_id, to_username, to_domain, device_id, last_status, received_at: presentDate(received_at), ...presentDates(row) };
}

/** What a device did with a call, after the report that is answered with it. */
export function presentCallDevice(row: StoredCallDevice): Record<string, unknown> {
  const { id, call_id, device_id, rang_at, invite_terminated_at, invite_terminated_state } = row;
  return {
    id,
    call_id,
    device_id,
    rang_at: orNull(rang_at),
    invite_terminated_at: orNull(invite_terminated_at),
    invite_terminated_state,
    ...presentDates(row),
  };
}

/** A call, after the report of its end that is answered with it. */
export function presentCall(row: StoredCall): Record<string, unknown> {
  const { id, from_username, from_domain, to_username, to_domain, initiated_at, ended_at, conference_id } = row;
  return {
    id,
    from_username,
    from_domain,
    to_username,
    to_domain,
    initiated_at: presentDate(initiated_at),
    ended_at: orNull(ended_at),
    conference_id,
    ...presentDates(row),
  };
}

/** A key of a machine, with the scope `shown`; never the key itself. */
export const presentNamedKey = (key: NamedApiKey): Record<string, unknown> => ({
  id: key.id,
  account_id: key.account_id,
  account: `${key.account?.username}@${key.account?.domain}`,
  name: key.name,
  scopes: key.scopes,
  expires_at: orNull(key.expires_at),
  expires_after_last_used_minutes: key.expires_after_last_used_minutes,
  ends_at: orNull(key.get('ends_at') as Date | null),
  is_expired: key.get('is_expired'),
  allowed_addresses: key.allowed_addresses?.map(formatIpRange) ?? null,
  requests: key.requests,
  last_used_at: orNull(key.last_used_at),
  last_used_ip: key.last_used_ip,
  refused_requests: key.refused_requests,
  last_refused_at: orNull(key.last_refused_at),
  last_refused_reason: key.last_refused_reason,
  secret_made_at: presentDate(key.secret_made_at),
  previous_good_until: orNull(key.get('previous_good_until') as Date | null),
  created_at: presentDate(key.created_at),
  updated_at: orNull(key.updated_at),
});

/** A job of a queue. */
export const presentJob = ({ deadline, created_at, finished_at, ...job }: JobView): Record<string, unknown> => ({
  ...job,
  deadline: orNull(deadline),
  created_at: presentDate(created_at),
  finished_at: orNull(finished_at),
});

/** What somebody did to a queue. */
export const presentQueueAction = (action: QueueAction): Record<string, unknown> => ({
  id: action.id,
  source: action.source,
  account_id: action.account_id,
  account: action.account,
  key_id: action.key_id,
  key_name: action.key_name,
  ip: action.ip,
  action: action.action,
  queue: action.queue,
  job: action.job,
  filter: action.filter,
  outcome: action.outcome,
  affected: action.affected,
  status: action.status,
  reason: action.reason,
  request_id: action.request_id,
  created_at: presentDate(action.created_at),
  ended_at: orNull(action.ended_at),
});
