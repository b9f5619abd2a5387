// Devices, read from and removed in a registrar's Redis with entries as Flexisip writes them.
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { startRedis } from '../src/start/redis';
import type { EmbeddedServer } from '../src/start/postgres';
import { parseRegistrarContact } from '../src/services/devices/registrar-contacts';
import { testServers } from './setup/servers';
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const UUID = 'urn:uuid:e1b0f0c4-5c4b-0031-9e7d-f1a4f6c1d2b3';
const LINPHONE =
  `"Alice <at home>" <sip:alice@192.0.2.7:49152;transport=tls;pn-prid=A0B1:remote;pn-provider=apns;callid=h7~x@host;expires=604800;` +
  `cseq=21;updatedAt=1708358460;alias=no;usedAsRoute=no?path=%3Csip%3Aproxy.example.org%3Blr%3E&accept=application/sdp&` +
  `user-agent=LinphoneiOS/5.2.0 (Alice's%20iPhone) LinphoneSDK/5.3%2B&more>;+org.linphone.specs="ephemeral,lime;x";` +
  `pub-gruu="sip:alice@sip.example.org;gr=${UUID}";+sip.instance="<${UUID}>";message-expires=2592000`;

describe('a Contact of the registrar', () => {
  test('as Flexisip writes it', () => {
    expect(parseRegistrarContact(LINPHONE)).toEqual({
      uuid: UUID,
      user_agent: "LinphoneiOS/5.2.0 (Alice's iPhone) LinphoneSDK/5.3+&more",
      update_time: new Date('2024-02-19T16:01:00Z'),
    });
  });

  test.each([
    ['no user agent', `<sip:a@h;updatedAt=0>;+sip.instance="<urn:uuid:1>"`, { uuid: 'urn:uuid:1', user_agent: '' }],
    ['an empty one', `<sip:a@h;updatedAt=0?path=&accept=&user-agent=>;+sip.instance="<urn:uuid:1>"`, { user_agent: '' }],
    ['a plus is a plus', `<sip:a@h;updatedAt=0?user-agent=a+b>;+sip.instance="<urn:uuid:1>"`, { user_agent: 'a+b' }],
    ['UTF-8', `<sip:a@h;updatedAt=0?user-agent=Zo%C3%A9>;+sip.instance="<urn:uuid:1>"`, { user_agent: 'Zoé' }],
    ['a bad escape', `<sip:a@h;updatedAt=0?user-agent=%zz>;+sip.instance="<urn:uuid:1>"`, { user_agent: '%zz' }],
    ['sips, names in other case', `<sips:a@h;UPDATEDAT=60>;+SIP.Instance="<urn:uuid:2>"`, { uuid: 'urn:uuid:2' }],
    ['quotes escaped in the name', `"a \\"<b" <sip:a@h;updatedAt=0>;+sip.instance="<urn:uuid:3>"`, { uuid: 'urn:uuid:3' }],
  ])('%s', (_name, contact, device) => expect(parseRegistrarContact(contact)).toMatchObject(device));

  test.each([
    ['no instance', '<sip:a@h;updatedAt=1>;expires=3'],
    ['no time', '<sip:a@h>;+sip.instance="<urn:uuid:1>"'],
    ['a time that is none', '<sip:a@h;updatedAt=soon>;+sip.instance="<urn:uuid:1>"'],
    ['an instance in the URI only', '<sip:a@h;updatedAt=1;+sip.instance=x>'],
    ['no brackets', 'sip:a@h;updatedAt=1;+sip.instance="<urn:uuid:1>"'],
    ['no end', '<sip:a@h;updatedAt=1;+sip.instance="<urn:uuid:1'],
    ['another scheme', '<tel:+331;updatedAt=1>;+sip.instance="<urn:uuid:1>"'],
    ['nothing', ''],
    ['an open quote', `"<sip:a@h;updatedAt=1>;+sip.instance=${'"'.repeat(9999)}`],
  ])('%s: none', (_name, contact) => expect(parseRegistrarContact(contact)).toBeNull());
});

describe('devices', () => {
  const directory = mkdtempSync(path.join(testServers().directory, 'registrar-'));
  let server: EmbeddedServer;
  let system: System;
  let redis: Redis;
  let admin: Account;
  let alice: Account;
  const ask = (method: string, route: string, key: string): Promise<Answer> => system.api(route, { method, key });
  const field = (uuid: string): string => `"<${uuid}>"`;
  const contact = (uuid: string): string => `<sip:alice@192.0.2.8;updatedAt=1700000000?user-agent=B>;+sip.instance="<${uuid}>"`;

  beforeAll(async () => {
    server = await startRedis(directory, () => undefined, false);
    redis = new Redis(server.url, { retryStrategy: () => 100 });
    redis.on('error', () => undefined);
    system = await startSystem({ webs: 1, workers: 0, environment: { FLEXISIP_REDIS_URL: server.url } });
    await system.space('tenant.example.org');
    admin = await system.account('the-admin', { domain: 'tenant.example.org', admin: true });
    alice = await system.account('alice-of-tenant', { domain: 'tenant.example.org' });
  });
  afterAll(async () => {
    await system.stop();
    redis.disconnect();
    await server.stop();
  });

  const key = 'fs:alice-of-tenant@tenant.example.org';

  test('by uuid, the unreadable left out; none is an empty object', async () => {
    expect(await ask('GET', '/accounts/me/devices', alice.key)).toMatchObject({ status: 200, text: '{}' });
    await redis.hset(
      key,
      field(UUID),
      LINPHONE,
      field('urn:uuid:2'),
      contact('urn:uuid:2'),
      'fs-gen-abc',
      '<sip:x@y>',
      '"<broken>"',
      '\u0000',
    );
    const { status, json } = await ask('GET', '/accounts/me/devices', alice.key);
    expect([status, json]).toEqual([
      200,
      {
        [UUID]: {
          uuid: UUID,
          user_agent: "LinphoneiOS/5.2.0 (Alice's iPhone) LinphoneSDK/5.3+&more",
          update_time: '2024-02-19T16:01:00.000000Z',
        },
        'urn:uuid:2': { uuid: 'urn:uuid:2', user_agent: 'B', update_time: '2023-11-14T22:13:20.000000Z' },
      },
    ]);
    expect((await ask('GET', `/accounts/${alice.id}/devices`, admin.key)).json).toEqual(json);
    const foreign = await system.account('foreign', { domain: SPACE });
    expect((await ask('GET', `/accounts/${foreign.id}/devices`, admin.key)).status).toBe(404);
    expect((await ask('DELETE', `/accounts/${foreign.id}/devices/x`, admin.key)).status).toBe(404);
  });

  test('removed, the proxies told; no other key or field is touched', async () => {
    await redis.del(key);
    await redis.hset(key, field(UUID), LINPHONE, field('urn:uuid:2'), contact('urn:uuid:2'), field('urn:uuid:3'), contact('urn:uuid:3'));
    await redis.set('somebody-elses', 'value');
    await redis.hset('fs:bob@tenant.example.org', field(UUID), LINPHONE);
    const heard: string[][] = [];
    const listener = redis.duplicate();
    await listener.psubscribe('*');
    listener.on('pmessage', (_pattern: string, channel: string, message: string) => heard.push([channel, message]));

    expect(await ask('DELETE', `/accounts/me/devices/${UUID}`, alice.key)).toMatchObject({ status: 200, text: '{}' });
    expect((await ask('DELETE', `/accounts/me/devices/${UUID}`, alice.key)).status).toBe(404);
    // Quotes and brackets around it, escaped, are the same device.
    expect((await ask('DELETE', `/accounts/${alice.id}/devices/%22%3Curn:uuid:2%3E%22`, admin.key)).status).toBe(200);
    expect((await ask('DELETE', '/accounts/me/devices/nul%00', alice.key)).status).toBe(404);
    await eventually(
      () => Promise.resolve(heard),
      (messages) => messages.length === 2,
    );
    expect(heard).toEqual([
      ['alice-of-tenant@tenant.example.org', ''],
      ['alice-of-tenant@tenant.example.org', ''],
    ]);
    listener.disconnect();
    expect(await redis.hkeys(key)).toEqual([field('urn:uuid:3')]);
    expect((await redis.keys('*')).toSorted()).toEqual([key, 'fs:bob@tenant.example.org', 'somebody-elses'].toSorted());
  });

  test('a key of another kind, a registrar that is away, and back: 503 in time, no crash, nothing else hindered', async () => {
    await redis.del(key);
    await redis.set(key, 'no hash');
    expect((await ask('GET', '/accounts/me/devices', alice.key)).status).toBe(503);
    await redis.del(key);
    await server.stop();
    const started = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        ask(n % 2 === 0 ? 'GET' : 'DELETE', `/accounts/me/devices${n % 2 === 0 ? '' : `/${UUID}`}`, alice.key),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    expect(answers[0]?.json['message']).toBe('The registrar does not answer. Try again in a moment.');
    expect(Date.now() - started).toBeLessThan(4000);
    expect((await ask('GET', '/accounts/me', alice.key)).status).toBe(200);
    server = await startRedis(directory, () => undefined, false);
    await eventually(
      () => ask('GET', '/accounts/me/devices', alice.key),
      ({ status }) => status === 200,
    );
  });

  test('not configured: 503 that says so', async () => {
    await system.startWeb({ FLEXISIP_REDIS_URL: '' });
    const url = system.urls.at(-1) ?? '';
    const answer = await fetch(`${url}/api/accounts/me/devices`, { headers: { 'x-api-key': alice.key, 'accept-language': 'fr' } });
    expect([answer.status, await answer.json()]).toEqual([503, { message: 'Les appareils ne sont pas configurés sur ce serveur.' }]);
  });
});
