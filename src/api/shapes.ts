// Shapes of answers: what the documentation shows and the tests hold every answer against.
import Joi from 'joi';
import { SPACE_FLAGS } from '../services/spaces/spaces';

const date = Joi.string().pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
const plainDate = Joi.string().pattern(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
const maybe = (schema: Joi.Schema): Joi.Schema => schema.allow(null).required();
/** Rows of older releases, and imported ones, may have an empty one. */
const userAgent = Joi.string().allow('');
const accountType = Joi.object({ id: Joi.number().integer().required(), key: Joi.string().required() });
const accountAction = accountType.keys({ code: Joi.string().required() });
const storedDictionary = Joi.object().pattern(Joi.string(), Joi.string().allow(''));
const pendingCode = (field: string, code: boolean): Joi.Schema =>
  maybe(
    Joi.object({
      [field]: Joi.string().required(),
      ...(code ? { code: Joi.string().required() } : {}),
      ip: maybe(Joi.string()),
      user_agent: maybe(userAgent),
      created_at: date.required(),
      updated_at: maybe(date),
    }),
  );
const account = Joi.object({
  id: Joi.number().integer().required(),
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
    Joi.object({
      id: Joi.number().integer().required(),
      account_id: Joi.number().integer().required(),
      expires: plainDate.required(),
      created_at: date.required(),
      updated_at: date.required(),
    }),
  ),
  email_change_code: pendingCode('email', false),
  types: Joi.array().items(accountType).required(),
  actions: Joi.array().items(accountAction).required(),
});
const listedAccount = account.keys({ phone_change_code: pendingCode('phone', false) });
const accountToAdmin = account.keys({ phone_change_code: pendingCode('phone', true), email_change_code: pendingCode('email', true) });
const confirmationKey = maybe(Joi.string());
const url = Joi.string();
const contact = Joi.object({
  id: Joi.number().integer().required(),
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
const contactsList = Joi.object({
  id: Joi.number().integer().required(),
  title: Joi.string().required(),
  description: maybe(Joi.string()),
  created_at: date.required(),
  updated_at: date.required(),
  contacts_count: Joi.number().integer().required(),
});
const storedVcard = Joi.object({ vcard: Joi.string().required(), created_at: date.required(), updated_at: date.required() });
const listOf = (schema: Joi.Schema): Joi.Schema => Joi.array().items(schema);

export const shapes = {
  empty: Joi.object({}).required(),
  account,
  accountToAdmin,
  createdAccount: account.keys({ confirmation_key: confirmationKey }),
  changedAccount: accountToAdmin.keys({ confirmation_key: confirmationKey }),
  recoveredAccount: account.keys({
    passwords: Joi.array()
      .items(Joi.object({ algorithm: Joi.string().required(), password: Joi.string().required() }))
      .required(),
  }),
  accountPage: Joi.object({
    current_page: Joi.number().integer().required(),
    data: Joi.array().items(listedAccount).required(),
    first_page_url: url.required(),
    from: maybe(Joi.number().integer()),
    last_page: Joi.number().integer().required(),
    last_page_url: url.required(),
    links: Joi.array()
      .items(Joi.object({ url: maybe(url), label: Joi.string().required(), active: Joi.boolean().required() }))
      .required(),
    next_page_url: maybe(url),
    path: url.required(),
    per_page: Joi.number().integer().required(),
    prev_page_url: maybe(url),
    to: maybe(Joi.number().integer()),
    total: Joi.number().integer().required(),
  }),
  accountInfo: Joi.object({ activated: Joi.boolean().required(), realm: maybe(Joi.string()) }),
  turn: Joi.object({
    username: Joi.string().required(),
    password: Joi.string().required(),
    ttl: Joi.number().integer().required(),
    uris: Joi.array().items(Joi.string()).required(),
  }),
  phoneCountry: Joi.object({
    code: Joi.string().length(2).required(),
    country_code: Joi.string().required(),
    activated: Joi.boolean().required(),
  }),
  requestToken: Joi.object({ token: Joi.string().length(13).required(), validation_url: maybe(Joi.string().uri()) }),
  creationToken: Joi.object({
    token: Joi.string().length(13).required(),
    ip: maybe(Joi.string()),
    user_agent: maybe(userAgent),
    expire_at: maybe(date),
    pn_provider: maybe(Joi.string()),
    pn_param: maybe(Joi.string()),
    pn_prid: maybe(Joi.string()),
    used: Joi.boolean().required(),
    account_id: maybe(Joi.number().integer()),
  }),
  authToken: Joi.object({
    id: Joi.number().integer().required(),
    token: Joi.string().length(32).required(),
    account_id: maybe(Joi.number().integer()),
    ip: maybe(Joi.string()),
    user_agent: maybe(userAgent),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  space: Joi.object({
    domain: Joi.string().required(),
    host: Joi.string().required(),
    ...Object.fromEntries(SPACE_FLAGS.map((flag) => [flag, Joi.boolean().required()])),
    max_account: Joi.number().integer().required(),
    max_accounts: Joi.number().integer().required(),
    expire_at: maybe(date),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  messageDevice: Joi.object({
    id: Joi.number().integer().required(),
    message_id: Joi.string().required(),
    to_username: Joi.string().required(),
    to_domain: Joi.string().required(),
    device_id: Joi.string().required(),
    last_status: Joi.number().integer().required(),
    received_at: date.required(),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  callDevice: Joi.object({
    id: Joi.number().integer().required(),
    call_id: Joi.string().required(),
    device_id: Joi.string().required(),
    rang_at: maybe(date),
    invite_terminated_at: maybe(date),
    invite_terminated_state: maybe(Joi.string()),
    created_at: date.required(),
    updated_at: date.required(),
  }),
  call: Joi.object({
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
  dictionaryEntry: Joi.object({ value: Joi.string().required() }),
  vcard: storedVcard,
  vcards: Joi.object().pattern(Joi.string(), storedVcard),
  devices: Joi.object().pattern(
    Joi.string(),
    Joi.object({ uuid: Joi.string().required(), user_agent: Joi.string().allow('').required(), update_time: date.required() }),
  ),
  message: Joi.object({ id: Joi.string().allow('').required() }),
  reading: (figures: readonly string[]): Joi.Schema => {
    const values = Object.fromEntries(figures.map((figure) => [figure, maybe(Joi.number())]));
    const period = { period: Joi.string().required(), from: date.required(), to: date.required(), ...values };
    return Joi.object({
      from: date.required(),
      to: date.required(),
      by: Joi.string().required(),
      timezone: Joi.string().required(),
      domain: maybe(Joi.string()),
      direction: Joi.string().required(),
      total: Joi.object(values).required(),
      periods: Joi.array().items(Joi.object(period)).required(),
    });
  },
  error: Joi.object({
    message: Joi.string().required(),
    errors: Joi.object().pattern(Joi.string(), Joi.array().items(Joi.string())),
  }),
};

/** What endpoints say of 429, which send messages. */
export const TOO_MANY_SENT =
  'Too many requests; or too many messages to the same mailbox or number, to numbers of its range, or asked for from the same address. `retry-after` says when to go on';
/** The same of endpoints that take codes of four digits. */
export const TOO_MANY_WRONG =
  'Too many requests; or too many wrong codes for the same mailbox or number, or from the same address: none is compared until `retry-after`';
