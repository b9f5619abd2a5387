// An address with a scheme before it is the address, whichever of the two schemes it is (RFC 3261, section 19.1.1), wherever one may stand.
import { messageRecipient } from '../src/api/schemas';
import { SPACE, startSystem, type Account, type System } from './helpers/system';

let system: System;
let admin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0 });
  admin = await system.account('scheme-admin', { admin: true });
});
afterAll(() => system.stop());

test.each(['', 'sip:', 'SIP:', 'sips:', 'Sips:'])('«%s»', async (scheme) => {
  const address = `${scheme}scheme-admin@${SPACE}`;
  expect((await system.api(`/accounts/${address}/search`, { key: admin.key })).json['id']).toBe(admin.id);
  expect((await system.api(`/accounts/${encodeURIComponent(address)}/info`)).status).toBe(200);

  const call = { id: `call-${scheme}`.replace(':', ''), from: address, to: address, initiated_at: '2026-03-01T10:15:00Z' };
  expect((await system.api('/statistics/calls', { method: 'POST', key: admin.key, body: call })).status).toBe(200);
  const rows = await system.rows('SELECT from_username, to_username, from_domain FROM statistics_calls WHERE id = $1', [call.id]);
  expect(rows).toEqual([{ from_username: 'scheme-admin', to_username: 'scheme-admin', from_domain: SPACE }]);

  expect(messageRecipient().validate(address)).toEqual({ value: `scheme-admin@${SPACE}` });
});

test('of the longest address, too', () => {
  const long = `${'a'.repeat(255 - '@b.org'.length)}@b.org`;
  expect(messageRecipient().validate(`sips:${long}`)).toEqual({ value: long });
  expect(messageRecipient().validate(`sips:a${long}`).error?.details[0]?.type).toBe('string.max');
});
