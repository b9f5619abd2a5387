// What clients ask for, and say of what they send: Accept, Accept-Language, Content-Type and Content-Encoding (RFC 9110, sections 5.6.6, 8.3 and 12.5).
import { gzipSync } from 'node:zlib';
import { parseMediaType, preferredLanguage, preferredType } from '../src/http/negotiation';
import { send, type RawAnswer } from './helpers/raw';
import { startSystem, type System } from './helpers/system';

const JSON_TYPE = 'application/json';
const CSV = 'text/csv';

describe('Accept', () => {
  test.each<[string | undefined, string | undefined]>([
    [undefined, JSON_TYPE],
    ['', JSON_TYPE],
    [' ', JSON_TYPE],
    [',', JSON_TYPE],
    ['application/json; indent=4', JSON_TYPE],
    ['application/json;odata=verbose', JSON_TYPE],
    ['application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false', JSON_TYPE],
    ['application/json;profile="https://example.org/a,b;q=0"', JSON_TYPE],
    ['application/json; charset=UTF-8', JSON_TYPE],
    ['Application/JSON', JSON_TYPE],
    ['application/json ; q=0.5', JSON_TYPE],
    ['application/json;Q=0.5', JSON_TYPE],
    ['application/*', JSON_TYPE],
    ['application/*;indent=4', JSON_TYPE],
    ['*/*', JSON_TYPE],
    ['*/*;q=0.1', JSON_TYPE],
    ['text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2', JSON_TYPE],
    ['text/html, *;q=.2', JSON_TYPE],
    // Without parameters it is about the type as such, whatever is said of others; else the best of them counts.
    ['application/json;v=2, application/json;q=0.1, text/csv;q=0.5', CSV],
    ['application/json;v=1;q=0.1, application/json;v=2;q=0.9, text/csv;q=0.5', JSON_TYPE],
    ['text/csv, application/json;q=0.9', CSV],
    ['text/csv;header=present, application/json;q=0.9', CSV],
    ['text/csv;q=0.1, application/json;indent=4;q=0.2', JSON_TYPE],
    ['text/*, application/json;q=0.9', CSV],
    ['text/csv, application/json', CSV],
    ['application/json, text/csv', JSON_TYPE],
    ['*/*, text/csv', CSV],
    ['application/json;q=0, */*', CSV],
    ['application/json;q=0.000, text/*', CSV],
    ['text/csv;q=0, */*;q=0.5', JSON_TYPE],
    ['application/json;q=1.000', JSON_TYPE],
    ['application/json;q=much', JSON_TYPE],
    ['application/json;q=-1', JSON_TYPE],
    ['garbage', JSON_TYPE],
    ['application/json;q=0', undefined],
    ['*/*;q=0', undefined],
    ['application/json;q=0, text/*;q=0', undefined],
    ['text/html', undefined],
    ['application/xml, text/html;level=1', undefined],
    ['application/vnd.api+json', undefined],
    ['application/jsonx', undefined],
    ['x="application/json", text/html', undefined],
  ])('%s', (accept, type) => expect(preferredType(accept, [JSON_TYPE, CSV])).toBe(type));

  test('is read in linear time', () => {
    const started = performance.now();
    for (const text of ['a/b;', '";', '\\"', 'a/b,', ';q=', '*/*,']) preferredType(text.repeat(20_000), [JSON_TYPE, CSV]);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test.each([
  ['fr_FR', 'fr'],
  ['fr_FR.UTF-8', 'fr'],
  ['FR', 'fr'],
  ['fr-CA;q=0.3, en;q=0.2', 'fr'],
  ['fr;q=.9;x=1, en;q=0.8', 'fr'],
  ['en;q=0.2, fr;q=0.8', 'fr'],
  ['fr;q=0', 'en'],
  ['fr;q=high', 'fr'],
  ['en;q=0, *', 'fr'],
  ['fr;q=0, *', 'en'],
  ['*, fr;q=0.5', 'en'],
  ['en;q=0, fr;q=0', 'en'],
  ['frr', 'en'],
  [',,fr', 'fr'],
  [undefined, 'en'],
])('Accept-Language: %s', (header, language) => expect(preferredLanguage(header)).toBe(language));

test.each([
  ['application/json', 'application/json', {}],
  ['APPLICATION/Json ; Charset = "UTF\\-8"', 'application/json', { charset: 'UTF-8' }],
  ['application/json;;charset=utf-8;', 'application/json', { charset: 'utf-8' }],
  ['multipart/form-data; boundary="a;b=c,\\"d"', 'multipart/form-data', { boundary: 'a;b=c,"d' }],
  ['multipart/form-data; boundary="a\\";b"', 'multipart/form-data', { boundary: 'a";b' }],
  ['text/plain; charset', 'text/plain', {}],
])('Content-Type: %s', (header, value, parameters) => {
  const parsed = parseMediaType(header);
  expect([parsed?.value, Object.fromEntries(parsed?.parameters ?? [])]).toEqual([value, parameters]);
});

test.each([undefined, '', ' '])('Content-Type: %j is none', (header) => expect(parseMediaType(header)).toBeUndefined());

describe('from outside', () => {
  let system: System;
  let key: string;
  beforeAll(async () => {
    system = await startSystem({ workers: 0 });
    ({ key } = await system.account('negotiator', { admin: true }));
  });
  afterAll(() => system.stop());

  const get = (route: string, accept: string): Promise<RawAnswer> =>
    send(`${system.url}/api${route}`, { headers: { 'x-api-key': key, accept } });
  const post = (body: string | Buffer, headers: Record<string, string>): Promise<RawAnswer> =>
    send(`${system.url}/api/statistics/calls`, { method: 'POST', body, headers: { 'x-api-key': key, ...headers } });

  test.each([
    'application/json; indent=4',
    'application/json;odata=verbose',
    'application/json;x="a, text/html;q=1"',
    'application/*;q=0.1',
  ])('Accept: %s is answered as JSON, exactly so', async (accept) => {
    const { status, headers } = await get('/accounts/me', accept);
    expect([status, headers['content-type']]).toEqual([200, 'application/json']);
  });

  test('several Accept headers are one list', async () => {
    const { status } = await send(`${system.url}/api/accounts/me`, {
      headers: { 'x-api-key': key, accept: ['text/html', 'application/json;q=0.1'] as never },
    });
    expect(status).toBe(200);
  });

  test('figures are CSV where that is liked best', async () => {
    const csv = await get('/statistics/calls', 'text/csv; header=present');
    expect([csv.status, csv.headers['content-type']]).toEqual([200, 'text/csv; charset=utf-8']);
    expect((await get('/statistics/calls', 'application/json;q=0.9, text/csv;q=0.1')).headers['content-type']).toBe('application/json');
  });

  test('406 names what there is', async () => {
    expect((await get('/accounts/me', 'text/html')).json).toEqual({
      message: 'The answer is application/json, which the accept header does not admit.',
    });
    expect((await get('/statistics/calls', 'text/html')).json['message']).toContain('application/json, text/csv');
  });

  test.each([
    ['application/json'],
    ['application/json; charset=utf-8'],
    ['Application/JSON;charset="UTF-8"'],
    ['application/json ; charset=utf8'],
    ['application/json;odata=verbose'],
    ['application/json; charset=US-ASCII'],
    ['application/json;'],
    [''],
  ])('Content-Type: %s is JSON', async (type) => expect((await post('{}', { 'content-type': type })).status).toBe(422));

  test.each([
    ['text/json', 'The content-type must be application/json, not text/json.'],
    ['application/merge-patch+json', 'The content-type must be application/json, not application/merge-patch+json.'],
    ['application/json; charset="ISO-8859-1"', 'The body must be in UTF-8, not in ISO-8859-1.'],
    ['application/json;charset=utf-16', 'The body must be in UTF-8, not in utf-16.'],
  ])('415 says what was sent and what is taken: %s', async (type, message) => {
    const answer = await post('{}', { 'content-type': type });
    expect([answer.status, answer.json]).toEqual([415, { message }]);
  });

  test('Content-Encoding', async () => {
    for (const coding of ['gzip', 'X-GZip', 'gzip, identity', ', GZIP'])
      expect([coding, (await post(gzipSync('{}'), { 'content-encoding': coding })).status]).toEqual([coding, 422]);
    for (const coding of ['identity', 'Identity, identity'])
      expect([coding, (await post('{}', { 'content-encoding': coding })).status]).toEqual([coding, 422]);
    const unknown = await post('{}', { 'content-encoding': 'compress' });
    expect([unknown.status, unknown.json, unknown.headers['accept-encoding']]).toEqual([
      415,
      { message: 'The content-encoding compress is not known here, only gzip, deflate, br.' },
      'gzip, deflate, br',
    ]);
    const broken = await post('{}', { 'content-encoding': 'gzip' });
    expect([broken.status, broken.json]).toEqual([400, { message: 'The body is not compressed as its content-encoding gzip says.' }]);
  });

  test.each([
    ['{"password":"geheim",}', 'line 1, column 22'],
    ['{\n  "a": 1,\n  "b": geheim\n}', 'line 3, column 8'],
    ['{"a":1} x', 'line 1, column 9'],
    ['{"a" 1}', 'line 1, column 6'],
    ['{"a":1', 'line 1, column 7'],
    ['{"a":01}', 'line 1, column 7'],
    ['{"a":"b\tc"}', 'line 1, column 8'],
    ['{"a":"\\x"}', 'line 1, column 7'],
    ['{"a":[1,]}', 'line 1, column 9'],
    ["{'a':1}", 'line 1, column 2'],
    ['{"a":NaN}', 'line 1, column 6'],
    ['\n\n}', 'line 3, column 1'],
  ])('JSON that breaks off is refused with its place: %j', async (body, place) => {
    expect((await post(body, { 'content-type': JSON_TYPE })).json).toEqual({ message: `Invalid JSON at ${place}.` });
  });

  test('other faults of bodies', async () => {
    const messages = [];
    for (const body of [Buffer.from([0x7b, 0xff, 0x7d]), '[1]', ' '.repeat(1024 * 1024 + 1)])
      messages.push((await post(body, { 'content-type': JSON_TYPE })).json['message']);
    expect(messages).toEqual([
      'Invalid JSON: the body is not UTF-8.',
      'Invalid JSON: the body must be an object.',
      'The body is larger than 1 MiB.',
    ]);
  });

  test('405 names what is allowed', async () => {
    const answer = await send(`${system.url}/api/accounts/me`, { method: 'PATCH' });
    expect([answer.status, answer.headers['allow'], answer.json]).toEqual([
      405,
      'DELETE, GET, HEAD',
      { message: 'This address does not know the method PATCH, only DELETE, GET, HEAD.' },
    ]);
  });
});
