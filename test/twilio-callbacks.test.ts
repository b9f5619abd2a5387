// What Twilio tells of an SMS after it has taken it: signed as it documents it, in any order.
import { createHmac } from 'node:crypto';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, startSystem, type System } from './helpers/system';

describe('what Twilio tells later', () => {
  const PUBLIC = 'https://accounts.example.org/flexi';
  const SID = `SM${'a1'.repeat(16)}`;
  let world: OutsideWorld;
  let other: System;
  beforeAll(async () => {
    world = await startOutsideWorld();
    const environment = {
      ...world.environment,
      APP_URL: PUBLIC,
      BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
      RATE_LIMIT_PER_MINUTE: '10',
    };
    other = await startSystem({ environment });
    await other.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  });
  afterAll(async () => {
    await other.stop();
    await world.close();
  });
  /** Signed as Twilio documents it, said a second time. */
  const sign = (url: string, fields: Record<string, string>, secret = 'twilio-secret'): string =>
    createHmac('sha1', secret)
      .update(
        Object.entries(fields)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .reduce((text, [name, value]) => text + name + value, url),
      )
      .digest('base64');
  async function tell(
    query: string,
    fields: Record<string, string>,
    signature = sign(`${PUBLIC}/api/hooks/twilio${query}`, fields),
  ): Promise<number> {
    const { status } = await fetch(`${other.url}/api/hooks/twilio${query}`, {
      method: 'POST',
      headers: { 'x-twilio-signature': signature },
      body: new URLSearchParams(fields),
    });
    return status;
  }
  const told = (status: string, more: Record<string, string> = {}): Record<string, string> => ({
    MessageSid: SID,
    MessageStatus: status,
    AccountSid: 'AC1',
    To: '+33612345678',
    Body: 'ü + &=',
    ...more,
  });

  test('is asked for with the SMS, and the last word counts in whatever order it comes; a wrong signature is refused', async () => {
    const { id, key } = await other.account('receiver');
    await other.rows("INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ('x', true, $1, now())", [id]);
    world.twilio.mode = { status: 201, body: JSON.stringify({ sid: SID, status: 'queued' }) };
    expect((await other.api('/accounts/me/phone/request', { method: 'POST', key, body: { phone: '+33612345678' } })).status).toBe(200);
    const asked = new URLSearchParams(world.twilio.received.at(-1)?.body as string).get('StatusCallback') ?? '';
    expect(asked).toMatch(/^https:\/\/accounts\.example\.org\/flexi\/api\/hooks\/twilio\?send=\d+$/);
    const query = new URL(asked).search;
    const row = async (): Promise<unknown> =>
      (
        await other.rows(
          'SELECT state, provider_id, provider_code, delivery, delivered_at IS NOT NULL AS at FROM sends WHERE account_id = $1',
          [id],
        )
      )[0];
    await eventually(row, (found) => (found as { state: string }).state === 'sent');
    const base = { state: 'sent', provider_id: SID };
    expect(await row()).toEqual({ ...base, provider_code: null, delivery: null, at: false });

    expect(await tell(query, told('sent'))).toBe(204);
    expect(await tell(query, told('delivered'), sign(asked, told('undelivered')))).toBe(403);
    expect(await tell(query, told('delivered'), sign(asked, told('delivered'), 'another secret'))).toBe(403);
    expect(await tell('?send=1000', told('delivered'), sign(asked, told('delivered')))).toBe(403);
    expect(await tell(query, told('delivered', { MessageSid: `SM${'b2'.repeat(16)}` }))).toBe(204);
    expect(await row()).toMatchObject({ delivery: null });
    expect(await tell(query, told('undelivered', { ErrorCode: '30003' }))).toBe(204);
    expect(await row()).toEqual({ ...base, provider_code: '30003', delivery: 'undelivered', at: false });
    expect(await tell(query, told('delivered'))).toBe(204);
    for (const late of ['sent', 'undelivered', 'queued']) expect(await tell(query, told(late, { ErrorCode: '1' }))).toBe(204);
    expect(await row()).toEqual({ ...base, provider_code: '30003', delivery: 'delivered', at: true });
    // Of nobody's row; without one; by the port that is the scheme's own.
    expect(await tell('?send=999999', told('delivered'))).toBe(204);
    expect(await tell('', told('delivered'))).toBe(204);
    expect(await tell(query, told('sent'), sign(asked.replace('.org/', '.org:443/'), told('sent')))).toBe(204);
    // What Twilio has signed is not limited; what it has not is.
    for (let n = 0; n < 15; n += 1) expect(await tell(query, told('sent'))).toBe(204);
    const refused = [];
    for (let n = 0; n < 15; n += 1) refused.push(await tell(query, told('sent'), 'no signature'));
    expect(refused.at(-1)).toBe(429);
  });

  test('there is nothing where Twilio is not set', async () => {
    const web = await other.startWeb({ TWILIO_AUTH_TOKEN: '', TWILIO_ACCOUNT_SID: '', TWILIO_FROM: '', RATE_LIMIT_PER_MINUTE: '0' });
    const url = other.urls.pop() ?? '';
    other.webs.pop();
    const answer = await fetch(`${url}/api/hooks/twilio?send=1`, { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
    expect(answer.status).toBe(404);
    await web.end();
  });
});
