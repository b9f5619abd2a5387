// What is kept of a provider's answer: its code, and nothing that may be a person's.
import { providerCode } from '../src/queues/provider-code';

test.each(['BadDeviceToken', 'messaging/mismatched-credential', 'app/network-error', 'ECONNREFUSED', '550-5.1.1', '451', 21211, 'unknown'])(
  '%j is a code',
  (code) => expect(providerCode(code)).toEqual({ code: String(code) }),
);

test.each([
  '+33612345678',
  33612345678,
  'alice@example.org',
  'sip:alice@example.org',
  'a0'.repeat(32),
  'c'.repeat(64),
  'dGhlX3Rva2Vu:APA91bHun4MxP5egoKMwt2KZFBaFUH',
  '550 no such user alice',
  '550-5.1.1-alice',
  '',
  'two words',
  'line\nbreak',
  undefined,
  null,
  {},
])('%j is none', (code) => expect(providerCode(code)).toEqual({}));
