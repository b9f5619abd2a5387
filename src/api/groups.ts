// The groups of the documentation, in the order of the endpoints.

/** What each is about. */
export const groups: Record<string, string> = {
  Ping: 'Whether the API answers.',
  Spaces: 'SIP domains with their hosts and settings. A space without `expire_at` never expires.',
  'Account creation tokens':
    'With one of them a stranger makes an account, once. It comes by push, or for a request token that a person has validated.',
  'API keys':
    'Keys for the header `x-api-key`: one for the person of an account, with the auth tokens by which a device without a password gets it, and any number with a name and scopes for machines.',
  Accounts: 'Accounts, as apps make and see them.',
  'Accounts, administration': 'Accounts, as admins manage them: those of the own space, and of all spaces for super admins.',
  'Accounts, unsecure (deprecated)': 'For older apps; not found unless the operator sets `APP_DANGEROUS_ENDPOINTS`.',
  'Accounts, email address': 'A new email address for the own account, confirmed by a code.',
  'Accounts, phone number': 'A new phone number for the own account, confirmed by a code.',
  'Accounts devices': 'Devices that are registered with the SIP proxy.',
  'Account contacts': 'The contacts of the own account, those of its contacts lists with them.',
  Contacts: 'Contacts that admins give to accounts.',
  'vCards storage': 'vCards that an account keeps here, by their UID.',
  Dictionary: 'Texts by key that hang on an account; apps get them when they are provisioned.',
  'Account actions': 'What an account can be asked to do by DTMF, such as opening a door.',
  'Contacts lists': 'Lists of accounts, given to accounts as contacts.',
  'Account types': 'Types of accounts, shared by all spaces.',
  Messages: 'SIP messages sent by the server.',
  'Push notifications': 'Waking devices up.',
  Sends: 'The ledger of pushes, SMS, mails and SIP messages: what came of each, and why.',
  Queues: 'Jobs that wait, run and have failed, and what operators do about them.',
  'Phone countries': 'Countries whose phone numbers are taken.',
  Statistics: 'What the SIP proxy reports of messages and calls, and figures made of it.',
};
