// The check that every answer passes notices what is wrong.
import { faultsOf, type SeenAnswer } from '../helpers/contract';

const JSON_TYPE = 'application/json';
const seen = (change: Partial<SeenAnswer>): string[] =>
  faultsOf({ method: 'GET', url: '/api/ping', status: 200, contentType: 'text/plain; charset=utf-8', text: 'pong', ...change });
const entry = (body: unknown, status = 200): string[] =>
  seen({ url: 'http://127.0.0.1/api/accounts/1/dictionary/key?x=1', status, contentType: JSON_TYPE, text: JSON.stringify(body) });

test('an answer as declared has no fault', () => {
  expect(seen({})).toEqual([]);
  expect(entry({ value: 'v' })).toEqual([]);
  expect(entry({ message: 'No.' }, 404)).toEqual([]);
  expect(entry({ message: 'No.', errors: { id: ['No.'] } }, 422)).toEqual(['status 422 is not declared']);
  expect(seen({ method: 'HEAD', text: '' })).toEqual([]);
  expect(seen({ url: '/health/live', status: 299 })).toEqual([]);
});

test('status, content type and body are looked at; nothing may be missing, other, or more', () => {
  expect(seen({ text: 'pang' })).toEqual([' must be equal to one of the allowed values']);
  expect(seen({ contentType: 'text/plain' })).toEqual(['content type text/plain instead of text/plain; charset=utf-8']);
  expect(entry({})).toEqual([" must have required property 'value'"]);
  expect(entry({ value: 1 })).toEqual(['/value must be string']);
  expect(entry({ value: 'v', more: 1 })).toEqual([' must NOT have unevaluated properties: more']);
  expect(entry({ value: 'v' }, 201)).toEqual(['status 201 is not declared']);
  expect(entry({ message: 'No.' }, 500)).toEqual(['the server failed']);
  expect(entry({ error: 'No.' }, 404)).toEqual([" must have required property 'message'", ' must NOT have unevaluated properties: error']);
  expect(seen({ url: '/api/nothing', status: 200 })).toEqual(['no endpoint, and yet 200']);
  expect(seen({ method: 'POST', status: 405, contentType: JSON_TYPE, text: '{"message":"No."}' })).toEqual([]);
  expect(seen({ method: 'HEAD', status: 201, text: '' })).toEqual(['status 201 is not declared']);
});

test('a shape that is made of another has its own members in place of the other’s', () => {
  const dates = { created_at: '2026-01-31T09:08:07.000000Z', updated_at: null };
  const account = {
    id: 1,
    username: 'alice',
    domain: 'example.org',
    email: null,
    phone: null,
    display_name: null,
    dtmf_protocol: null,
    activated: true,
    blocked: false,
    admin: false,
    ip_address: '192.0.2.1',
    user_agent: '',
    ...dates,
    realm: null,
    confirmation_key_expires: null,
    provisioning_token: null,
    provisioning_token_expire_at: null,
    dictionary: {},
    passwords: [],
    activation_expiration: null,
    types: [],
    actions: [],
    email_change_code: { email: 'a@example.org', code: '1234', ip: null, user_agent: null, ...dates },
  };
  const faultsAt = (url: string, body: object): string[] => seen({ url, contentType: JSON_TYPE, text: JSON.stringify(body) });
  expect(faultsAt('/api/accounts/1', { ...account, phone_change_code: null })).toEqual([]);
  // The owner never sees the code.
  expect(faultsAt('/api/accounts/me', account)).toContain('/email_change_code must NOT have unevaluated properties: code');
  expect(faultsAt('/api/accounts/1', account)).toEqual([" must have required property 'phone_change_code'"]);
});

test('inside of named shapes, too', () => {
  const dates = { created_at: '2026-01-31T09:08:07.000000Z', updated_at: '2026-01-31T09:08:07.000000Z' };
  const contact = {
    id: 1,
    username: 'alice',
    domain: 'example.org',
    activated: true,
    dtmf_protocol: null,
    display_name: null,
    realm: null,
    types: [{ id: 1, key: 'phone' }],
    actions: [],
    dictionary: { any: '' },
  };
  const contactOf = (change: object): string[] =>
    seen({ url: '/api/accounts/me/contacts/alice@example.org', contentType: JSON_TYPE, text: JSON.stringify({ ...contact, ...change }) });
  expect(contactOf({})).toEqual([]);
  expect(contactOf({ types: [{ id: 1, key: 'phone', more: 1 }] })).toEqual(['/types/0 must NOT have unevaluated properties: more']);
  expect(contactOf({ dictionary: { any: 1 } })).toEqual(['/dictionary/any must be string']);
  const vcards = (vcard: object): string[] =>
    seen({
      url: '/api/accounts/me/vcards-storage',
      contentType: JSON_TYPE,
      text: JSON.stringify({ uid: { vcard: 'V', ...dates, ...vcard } }),
    });
  expect(vcards({})).toEqual([]);
  expect(vcards({ more: 1 })).toEqual(['/uid must NOT have unevaluated properties: more']);
});
