// Shapes of answers: what the documentation shows and the tests hold every answer against.
import Joi from 'joi';
import { SEND_REASONS } from '../queues/contracts';
import { SPACE_FLAGS } from '../services/spaces/spaces';
import { GROUPINGS } from '../services/statistics/reading';
import { count, date, extended, id, listOf, longId, maybe, named, plainDate } from './shape-parts';
import { operationShapes } from './shapes-operations';

/** Rows of older releases, and imported ones, may have an empty one. */
const userAgent = Joi.string().allow('');
const accountType = named('AccountType', { id: id.required(), key: Joi.string().required() });
const accountAction = named('AccountAction', { id: id.required(), key: Joi.string().required(), code: Joi.string().required() });
const storedDictionary = Joi.object().pattern(Joi.string(), Joi.string().allow('')).meta({ name: 'Dictionary' });
const pendingCode = (field: 'email' | 'phone', code: boolean): Joi.Schema =>
  maybe(
    named(`Pending${field === 'email' ? 'Email' : 'Phone'}Change${code ? 'WithCode' : ''}`, {
      [field]: Joi.string().required(),
      ...(code ? { code: Joi.string().required() } : {}),
      ip: maybe(Joi.string()),
      user_agent: maybe(userAgent),
      created_at: date.required(),
      updated_at: maybe(date),
    }),
  );
const account = named('Account', {
  id: id.required(),
  username: Joi.string().required(),
  domain: Joi.string().required(),
  email: maybe(Joi.string()),
  phone: maybe(Joi.string()),
  display_name: maybe(Joi.string()),
  dtmf_protocol: maybe(Joi.string()),
  activated: Joi.boolean().required(),
  blocked: Joi.boolean().required(),
  admin: Joi.boolean().required(),
  ip_address: Joi.string().required(),
  user_agent: userAgent.required(),
  created_at: date.required(),
  updated_at: maybe(date),
  realm: maybe(Joi.string()),
  confirmation_key_expires: maybe(plainDate),
  provisioning_token: maybe(Joi.string().length(13)),
  provisioning_token_expire_at: maybe(date),
  dictionary: storedDictionary.required(),
  passwords: Joi.array()
    .items(Joi.object({ algorithm: Joi.string().required() }))
    .required(),
  activation_expiration: maybe(
    named('ActivationExpiration', {
      id: id.required(),
      account_id: id.required(),
      expires: plainDate.required(),
      created_at: date.required(),
      updated_at: date.required(),
    }),
  ),
  email_change_code: pendingCode('email', false),
  types: Joi.array().items(accountType).required(),
  actions: Joi.array().items(accountAction).required(),
});
const listedAccount = extended('ListedAccount', account, { phone_change_code: pendingCode('phone', false) });
const accountToAdmin = extended('AccountToAdmin', account, {
  phone_change_code: pendingCode('phone', true),
  email_change_code: pendingCode('email', true),
});
const confirmationKey = maybe(Joi.string());
const url = Joi.string();
const contact = named('Contact', {
  id: id.required(),
  username: Joi.string().required(),
  domain: Joi.string().required(),
  activated: Joi.boolean().required(),
  dtmf_protocol: maybe(Joi.string()),
  display_name: maybe(Joi.string()),
  realm: maybe(Joi.string()),
  types: Joi.array().items(accountType).required(),
  actions: Joi.array().items(accountAction).required(),
  dictionary: storedDictionary.required(),
});
const contactsList = named('ContactsList', {
  id: id.required(),
  title: Joi.string().required(),
  description: maybe(Joi.string()),
  created_at: date.required(),
  updated_at: date.required(),
  contacts_count: count.required(),
});
const storedVcard = named('Vcard', { vcard: Joi.string().required(), created_at: date.required(), updated_at: date.required() });
const accountInfo = named('AccountInfo', { activated: Joi.boolean().required(), realm: maybe(Joi.string()) });
const namedKey = named('NamedApiKey', {
  id: id.required(),
  account_id: id.required(),
  account: Joi.string()
    .required()
    .meta({ json: { description: 'Its SIP address', examples: ['admin@sip.example.org'] } }),
  name: Joi.string().required(),
  scopes: listOf(Joi.string()).required(),
  expires_at: maybe(date),
  expires_after_last_used_minutes: maybe(count),
  ends_at: maybe(date),
  is_expired: Joi.boolean().required(),
  allowed_addresses: maybe(listOf(Joi.string())),
  requests: count.required(),
  last_used_at: maybe(date),
  last_used_ip: maybe(Joi.string()),
  refused_requests: count.required(),
  last_refused_at: maybe(date),
  last_refused_reason: maybe(Joi.string()),
  secret_made_at: date.required(),
  previous_good_until: maybe(date),
  created_at: date.required(),
  updated_at: maybe(date),
});

export const shapes = {
  empty: named('Empty', {}),
  account,
  accountToAdmin,
  createdAccount: extended('CreatedAccount', account, { confirmation_key: confirmationKey }),
  changedAccount: extended('ChangedAccount', accountToAdmin, { confirmation_key: confirmationKey }),
  recoveredAccount: extended('RecoveredAccount', account, {
    passwords: Joi.array()
      .items(Joi.object({ algorithm: Joi.string().required(), password: Joi.string().required() }))
      .required(),
  }),
  accountPage: named('AccountPage', {
    current_page: count.required(),
    data: Joi.array().items(listedAccount).required(),
    first_page_url: url.required(),
    from: maybe(count),
    last_page: count.required(),
    last_page_url: url.required(),
    links: Joi.array()
      .items(named('PageLink', { url: maybe(url), label: Joi.string().required(), active: Joi.boolean().required() }))
      .required(),
    next_page_url: maybe(url),
    path: url.required(),
    per_page: count.required(),
    prev_page_url: maybe(url),
    to: maybe(count),
    total: count.required(),
  }),
  accountInfo,
  phoneInfo: extended('PhoneInfo', accountInfo, { phone: Joi.boolean().required() }),
  turn: named('TurnCredentials', {
    username: Joi.string().required(),
    password: Joi.string().required(),
    ttl: count.required(),
    uris: Joi.array().items(Joi.string()).required(),
  }),
  phoneCountry: named('PhoneCountry', {
    code: Joi.string().length(2).required(),
    country_code: Joi.string().required(),
    activated: Joi.boolean().required(),
  }),
  requestToken: named('AccountCreationRequestToken', {
    token: Joi.string().length(13).required(),
    validation_url: maybe(Joi.string().uri()),
  }),
  creationToken: named('AccountCreationToken', {
    token: Joi.string().length(13).required(),
    ip: maybe(Joi.string()),
    user_agent: maybe(userAgent),
    expire_at: maybe(date),
    pn_provider: maybe(Joi.string()),
    pn_param: maybe(Joi.string()),
    pn_prid: maybe(Joi.string()),
    used: Joi.boolean().required(),
    account_id: maybe(id),
  }),
  namedKey,
  namedKeys: listOf(namedKey),
  madeNamedKey: extended('MadeNamedApiKey', namedKey, {
    api_key: Joi.string()
      .pattern(/^flexiapi_[A-Za-z0-9]{46}$/)
      .required(),
  }),
  apiKey: named('ApiKey', { api_key: Joi.string().length(40).required() }),
  authToken: named('AuthToken', {
    id: longId.required(),
    token: Joi.string().length(32).required(),
    account_id: maybe(id),
    ip: maybe(Joi.string()),
    user_agent: maybe(userAgent),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  space: named('Space', {
    domain: Joi.string().required(),
    host: Joi.string().required(),
    ...Object.fromEntries(SPACE_FLAGS.map((flag) => [flag, Joi.boolean().required()])),
    max_account: count.required(),
    max_accounts: count.required(),
    expire_at: maybe(date),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  messageDevice: named('MessageDevice', {
    id: longId.required(),
    message_id: Joi.string().required(),
    to_username: Joi.string().required(),
    to_domain: Joi.string().required(),
    device_id: Joi.string().required(),
    last_status: id.required(),
    received_at: date.required(),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  callDevice: named('CallDevice', {
    id: longId.required(),
    call_id: Joi.string().required(),
    device_id: Joi.string().required(),
    rang_at: maybe(date),
    invite_terminated_at: maybe(date),
    invite_terminated_state: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  call: named('Call', {
    id: Joi.string().required(),
    from_username: Joi.string().required(),
    from_domain: Joi.string().required(),
    to_username: Joi.string().required(),
    to_domain: Joi.string().required(),
    initiated_at: date.required(),
    ended_at: maybe(date),
    conference_id: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  accountType,
  accountTypes: listOf(accountType),
  accountAction,
  accountActions: listOf(accountAction),
  contact,
  contacts: listOf(contact),
  contactsList,
  contactsLists: listOf(contactsList),
  dictionary: storedDictionary,
  dictionaryEntry: named('DictionaryEntry', { value: Joi.string().allow('').required() }),
  vcard: storedVcard,
  vcards: Joi.object().pattern(Joi.string(), storedVcard),
  devices: Joi.object().pattern(
    Joi.string(),
    named('Device', { uuid: Joi.string().required(), user_agent: Joi.string().allow('').required(), update_time: date.required() }),
  ),
  message: named('SentMessage', { id: Joi.string().allow('').required() }),
  reading: (kind: 'Messages' | 'Calls', figures: readonly string[]): Joi.Schema => {
    const values = Object.fromEntries(figures.map((figure) => [figure, maybe(Joi.number())]));
    const period = { period: Joi.string().required(), from: date.required(), to: date.required(), ...values };
    return named(`${kind}Statistics`, {
      from: date.required(),
      to: date.required(),
      by: Joi.string()
        .valid(...GROUPINGS)
        .required(),
      timezone: Joi.string().required(),
      domain: maybe(Joi.string()),
      direction: Joi.string().valid('sent', 'received').required(),
      total: named(`${kind}Figures`, values).required(),
      periods: listOf(named(`${kind}Period`, period)).required(),
    });
  },
  ...operationShapes,
  error: named('Error', {
    message: Joi.string().required(),
    reason: Joi.string()
      .valid(...SEND_REASONS)
      .description('Of 403 and 503 of what was to be sent: why it was not. Later releases may have more words'),
    errors: Joi.object().pattern(Joi.string(), Joi.array().items(Joi.string())),
  }),
};

/** Why an account must stay as it is. */
export const LAST_SUPER_ADMIN = 'It is the last super admin';

/** What endpoints say of 429, which send messages. */
export const TOO_MANY_SENT =
  'Too many requests; or too many messages to the same mailbox or number, to numbers of its range, or asked for from the same address. `retry-after` says when to go on';
/** The same of endpoints that take codes of four digits. */
export const TOO_MANY_WRONG =
  'Too many requests; or too many wrong codes for the same mailbox or number, or from the same address: none is compared until `retry-after`';
