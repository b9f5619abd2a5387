// Finding an endpoint by its segments gives what walking through all patterns in their order gives, as Express's router does it.
import fc from 'fast-check';
import { match } from 'path-to-regexp';
import { api } from '../src/api';
import { decodeParameters, EndpointMap } from '../src/http/endpoint-map';
import type { AnyEndpoint } from '../src/http/route';

const patterns = api.endpoints.map((endpoint) => ({ endpoint, matches: match(endpoint.path, { sensitive: true, trailing: true }) }));
const map = new EndpointMap<AnyEndpoint>();
for (const endpoint of api.endpoints) map.add(endpoint, endpoint);

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** The first pattern of the method that matches, and its parameters. */
function walk(method: string, path: string): { endpoint: AnyEndpoint; params: object } | undefined {
  for (const { endpoint, matches } of patterns) {
    const found = endpoint.method.toUpperCase() === method && matches(path);
    if (found) return { endpoint, params: { ...found.params } };
  }
  return undefined;
}

function find(method: string, path: string): { endpoint: AnyEndpoint; params: object | undefined } | undefined {
  const found = map.find(method, path);
  return found && { endpoint: found.row, params: decodeParameters(found.names, found.values) };
}

const words = [...new Set(api.endpoints.flatMap(({ path }) => path.split('/')).filter((word) => word !== '' && !word.startsWith(':')))];
const segment = fc.oneof(
  fc.constantFrom(...words),
  fc.constantFrom(
    '7',
    'sip:alice@sip.example.org',
    'a%2Fb',
    'a%20b',
    '%E2%82%AC',
    '.',
    '..',
    'ME',
    'me.',
    '%25',
    'a;b=c',
    '~',
    ':id',
    '*',
    '',
  ),
  fc.webSegment({ size: 'small' }),
);
/** Of an endpoint, some of its segments replaced; or of segments alone. */
const aPath = fc.oneof(
  fc
    .tuple(fc.constantFrom(...api.endpoints), fc.array(segment, { minLength: 8, maxLength: 8 }), fc.nat(255))
    .map(([{ path }, given, replaced]) =>
      path
        .split('/')
        .map((own, index) =>
          index > 0 && (own.startsWith(':') || ((replaced & (1 << index)) !== 0 && replaced % 3 === 0)) ? (given[index] ?? '') : own,
        )
        .join('/'),
    ),
  fc.array(segment, { maxLength: 7 }).map((segments) => `/${segments.join('/')}`),
);
const withEnd = fc.tuple(aPath, fc.constantFrom('', '/', '//')).map(([path, end]) => path + end);

test('finds what walking finds', () => {
  let found = 0;
  fc.assert(
    fc.property(fc.constantFrom(...METHODS), withEnd, (method, path) => {
      const expected = walk(method, path);
      const seen = find(method, path);
      expect(seen).toEqual(expected);
      if (expected) found += 1;
    }),
    { numRuns: 20_000, seed: 13 },
  );
  expect(found).toBeGreaterThan(1000);
});

test('every endpoint is found by its own path, in each of its methods', () => {
  for (const { method, path } of api.endpoints) {
    const filled = path.replace(/:\w+/g, '7');
    expect([path, find(method.toUpperCase(), filled)?.endpoint]).toEqual([path, walk(method.toUpperCase(), filled)?.endpoint]);
  }
});

/** In the order of how much of a path they name themselves: text before a parameter, from the left. */
const specificity = (path: string): string => path.replace(/:\w+/g, '~');

test('all methods of a path are those of the pattern that says most of it', () => {
  fc.assert(
    fc.property(withEnd, (path) => {
      const matching = patterns.filter(({ matches }) => matches(path) !== false).map(({ endpoint }) => specificity(endpoint.path));
      const [meant] = matching.sort();
      const expected = api.endpoints.filter((endpoint) => specificity(endpoint.path) === meant).map(({ method }) => method);
      expect(
        map
          .findAll(path)
          .map(({ row }) => row.method)
          .sort(),
      ).toEqual(expected.sort());
    }),
    { numRuns: 10_000, seed: 13 },
  );
});

test('parameters are decoded, and what cannot be is none', () => {
  expect(decodeParameters(['a', 'b'], ['x%2Fy', '%E2%82%AC'])).toEqual({ a: 'x/y', b: '€' });
  expect(decodeParameters(['a'], ['%'])).toBeUndefined();
  expect(decodeParameters(['a'], ['%ff'])).toBeUndefined();
});

test('what no map could tell apart is refused', () => {
  const one = new EndpointMap<number>();
  one.add({ method: 'get', path: '/a/:id' }, 1);
  expect(() => one.add({ method: 'get', path: '/a/:other' }, 2)).toThrow('GET /a/:other is declared twice');
  expect(() => one.add({ method: 'get', path: '/a/x:id' }, 3)).toThrow('/a/x:id: a segment is text, or a parameter as a whole');
  one.add({ method: 'post', path: '/a/:other' }, 4);
  expect(one.find('POST', '/a/7')).toEqual({ row: 4, names: ['other'], values: ['7'] });
});
