// Values for generated requests: right ones, made of a JSON Schema of the document and of rows that are there, and wrong ones, which programs
// are known to stumble over.
import fc from 'fast-check';
import { NUMBERS, STRUCTURES, TEXTS } from './fuzz-oddities';

export type Json = Record<string, unknown>;

/** Follows `$ref` inside of the document. */
export function resolve(document: Json, schema: Json): Json {
  let found = schema;
  for (let depth = 0; typeof found['$ref'] === 'string' && depth < 10; depth += 1) {
    const parts = found['$ref'].replace(/^#\//, '').split('/');
    const target = parts.reduce<unknown>(
      (at, part) => (at as Json | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')],
      document,
    );
    const { $ref: _, ...beside } = found;
    found = { ...(target as Json), ...beside };
  }
  return found;
}

/** What no endpoint has ever asked for, in each kind that JSON has. */
export const wrongText = (): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...TEXTS) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 300 }) },
    { weight: 1, arbitrary: fc.stringMatching(/^[+-]?\d{1,20}$/) },
  );
export const wrongValue = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 5, arbitrary: wrongText() },
    { weight: 2, arbitrary: fc.constantFrom(...NUMBERS) },
    { weight: 2, arbitrary: fc.constantFrom(...STRUCTURES) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  );

const anyOf = (characters: string): fc.Arbitrary<string> => fc.constantFrom(...Array.from(characters));
const hex = (length: number): fc.Arbitrary<string> => fc.string({ unit: anyOf('0123456789abcdef'), minLength: length, maxLength: length });
const fresh = (prefix: string): fc.Arbitrary<string> =>
  fc.string({ unit: anyOf('abcdefghijklmnopqrstuvwxyz0123456789'), minLength: 10, maxLength: 10 }).map((rest) => prefix + rest);

const card = (): fc.Arbitrary<string> =>
  fc
    .record({
      uid: fc.uuid(),
      name: fc.string({ minLength: 1, maxLength: 40 }),
      note: fc.string({ unit: 'grapheme', maxLength: 120 }),
      tel: hex(9),
    })
    .map(({ uid, name, note, tel }) => {
      const escaped = (text: string): string => text.replace(/[\u0000-\u001f\u007f]/gu, ' ').replace(/[\\,;]/g, '\\$&'); // eslint-disable-line no-control-regex
      return `BEGIN:VCARD\r\nVERSION:4.0\r\nFN:a ${escaped(name)}\r\nTEL;TYPE=cell:${tel}\r\nNOTE:a${escaped(note)}\r\nUID:${uid}\r\nEND:VCARD\r\n`;
    });

/** What rows are there, by the name of a field or parameter, with those of one's own account first. */
export type Known = (name: string) => readonly unknown[];

const orKnown = (known: Known, name: string, made: fc.Arbitrary<unknown>, weight = 1): fc.Arbitrary<unknown> => {
  const values = known(name);
  return values.length === 0 ? made : fc.oneof({ weight: 3, arbitrary: made }, { weight, arbitrary: fc.constantFrom(...values) });
};
const onlyKnown = (known: Known, name: string, otherwise: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => {
  const values = known(name);
  return values.length === 0 ? otherwise : fc.constantFrom(...values);
};
const moment = (from: string, to: string): fc.Arbitrary<string> =>
  fc.date({ min: new Date(from), max: new Date(to), noInvalidDate: true }).map((date) => date.toISOString());

/** Of the run, whose requests are the same whenever they are made. */
const STARTED = Date.now();

/** Right values that no schema can tell: names nobody has yet, names that somebody has, codes that were sent. */
const BY_NAME: Record<string, (known: Known) => fc.Arbitrary<unknown>> = {
  username: () => fresh('fz'),
  password: () => fc.constantFrom('a-good-password', 'pässwörd \u{1f600}', ' spaces '),
  old_password: (known) => onlyKnown(known, 'old_password', fc.constant('a-good-password')),
  domain: (known) =>
    onlyKnown(
      known,
      'domain',
      fresh('fz').map((name) => `${name}.invalid`),
    ),
  new_domain: () => fresh('fz').map((name) => `${name}.invalid`),
  host: () => fresh('fz').map((name) => `${name}.host.invalid`),
  email: (known) =>
    orKnown(
      known,
      'email',
      fc.oneof(
        fc.emailAddress(),
        fresh('fz').map((name) => `${name}@example.org`),
      ),
    ),
  phone: (known) => orKnown(known, 'phone', fc.stringMatching(/^\+336\d{8}$/), 2),
  display_name: () => fc.constantFrom('Alice', 'Ælfgifu 🙂', 'عليّ', 'a b'),
  dtmf_protocol: () => fc.constantFrom('sipinfo', 'sipmessage', 'rfc2833'),
  dictionary: () => fc.dictionary(fresh('k'), fc.string({ maxLength: 50, unit: anyOf('abc é🙂') }), { maxKeys: 4 }),
  vcard: () => card(),
  sip: (known) =>
    orKnown(
      known,
      'sip',
      fresh('fz').map((name) => `${name}@fuzz.invalid`),
      9,
    ),
  from: (known) =>
    orKnown(
      known,
      'sip',
      fresh('fz').map((name) => `${name}@fuzz.invalid`),
      9,
    ),
  to: (known) =>
    orKnown(
      known,
      'sip',
      fresh('fz').map((name) => `sip:${name}@fuzz.invalid`),
      9,
    ),
  pn_prid: (known) => orKnown(known, 'pn_prid', hex(64)),
  pn_param: () => fc.constantFrom('TEAMID1234.org.linphone.phone', 'linphone-test', 'TEAMID1234.org.linphone.phone.voip'),
  call_id: () => fc.stringMatching(/^[A-Za-z0-9~.-]{5,20}$/),
  key: () => fresh('k'),
  api_key: (known) => onlyKnown(known, 'api_key', fresh('k')),
  'h-captcha-response': (known) => onlyKnown(known, 'h-captcha-response', fresh('h')),
  code: (known) => onlyKnown(known, 'code', fc.stringMatching(/^\d{4}$/)),
  title: () => fc.string({ minLength: 1, maxLength: 20, unit: anyOf('abcdef é🙂') }).map((text) => `t${text}`),
  account_creation_token: (known) => onlyKnown(known, 'account_creation_token', hex(13)),
  account_creation_request_token: (known) => onlyKnown(known, 'account_creation_request_token', hex(13)),
  confirmation_key: (known) => onlyKnown(known, 'confirmation_key', hex(13)),
  confirmation_key_expires: () => fc.constantFrom('2030-12-31 23:59:59', '2020-02-29 00:00:00'),
  expire_at: () => fc.oneof(fc.constant(null), moment('2030-01-01', '9999-12-31')),
  id: (known) => fc.oneof({ weight: 5, arbitrary: fc.uuid() }, { weight: 1, arbitrary: onlyKnown(known, 'id', fc.uuid()) }),
  sent_at: () => moment('2024-01-01', '2028-01-01'),
  initiated_at: () => moment('2024-01-01', '2028-01-01'),
  ended_at: () => moment('2024-01-01', '2028-01-01'),
  rang_at: () => moment('2024-01-01', '2028-01-01'),
  received_at: () => moment('2024-01-01', '2028-01-01'),
  at: () => moment('2024-01-01', '2028-01-01'),
  last_status: () => fc.constantFrom(200, 404, 487, '200', 603, 0, -1),
  max_account: () => fc.constantFrom(0, 5, 2 ** 31 - 1),
  max_accounts: () => fc.constantFrom(0, 0, 3, 1000),
  device_id: () => fc.oneof(fc.uuid(), fc.constantFrom('device-1', 'urn:uuid:1')),
  page: () => fc.constantFrom('1', '2', '999999999'),
  timezone: () => fc.constantFrom('UTC', 'Europe/Paris', 'Asia/Kathmandu', 'America/St_Johns', 'Pacific/Apia', 'Etc/GMT+12'),
  days_ago: () => fc.integer({ min: 1, max: 7 }).map((days) => new Date(STARTED - days * 86_400_000).toISOString()),
  hours_ago: () => fc.nat({ max: 20 }).map((hours) => new Date(STARTED - hours * 3_600_000).toISOString()),
  sender: (known) =>
    onlyKnown(
      known,
      'sender',
      fc.nat({ max: 1000 }).map((n) => n + 1),
    ),
  send_cursor: (known) => onlyKnown(known, 'send_cursor', fc.constant(Buffer.from('2026-01-01T00:00:00.000000Z_1').toString('base64url'))),
  request_id: (known) => orKnown(known, 'request_id', fc.uuid()),
  since: () => fc.constantFrom('2026-01-01', '2025-06-01T00:00:00+02:00'),
  until: () => fc.constantFrom('2026-02-01', '2026-01-02T03:04:05Z', '2026-03-29T02:30:00'),
};

const firstOf = (schema: Json, names: readonly string[]): Json[] | undefined => names.map((name) => schema[name] as Json[]).find(Boolean);
const number = (value: unknown, fallback: number): number => (typeof value === 'number' ? value : fallback);

function textOf(schema: Json): fc.Arbitrary<unknown> {
  const examples = (schema['examples'] ?? (schema['example'] === undefined ? undefined : [schema['example']])) as unknown[] | undefined;
  if (examples && examples.length > 0) return fc.constantFrom(...examples);
  const minLength = number(schema['minLength'], 0);
  const maxLength = Math.max(minLength, Math.min(number(schema['maxLength'], 40), 1100));
  if (schema['format'] === 'date-time') return moment('2020-01-01', '2030-01-01');
  if (schema['format'] === 'email') return fc.emailAddress();
  if (schema['format'] === 'uuid') return fc.uuid();
  if (schema['format'] === 'uri') return fc.webUrl();
  if (typeof schema['pattern'] === 'string') {
    try {
      // eslint-disable-next-line own/linear-pattern -- nothing is matched against it: texts are made of it
      const matching = fc.stringMatching(new RegExp(schema['pattern'], 'u'));
      return matching.filter((text) => text.length >= minLength && text.length <= maxLength);
    } catch {
      // A construct that nothing can be generated of: any text, then.
    }
  }
  return fc.string({ minLength, maxLength, unit: anyOf('abcXYZ019 .-_é') });
}

/**
 * Values that the schema admits.
 *
 * @param name of the field, whose meaning no schema tells; empty where it has none
 */
export function rightValue(document: Json, given: Json, name: string, known: Known): fc.Arbitrary<unknown> {
  const byName = BY_NAME[name];
  if (byName) return byName(known);
  const schema = resolve(document, given);
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  const either = firstOf(schema, ['anyOf', 'oneOf']);
  if (either && either.length > 0) return fc.oneof(...either.map((each) => rightValue(document, each, '', known)));
  const all = schema['allOf'] as Json[] | undefined;
  if (all) return rightValue(document, all.map((each) => resolve(document, each)).reduce(merge, schema), '', known);
  const types = [schema['type'] ?? (schema['properties'] ? 'object' : 'string')].flat() as string[];
  return fc.oneof(...types.map((type) => ofType(document, schema, type, known)));
}

const merge = (one: Json, other: Json): Json => {
  const { allOf: _, ...rest } = one;
  return { ...rest, ...other, properties: { ...(one['properties'] as Json), ...(other['properties'] as Json) } };
};

function ofType(document: Json, schema: Json, type: string, known: Known): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return fc.integer({ min: number(schema['minimum'], 0), max: number(schema['maximum'], 2 ** 31 - 1) });
    case 'array':
      return fc.array(rightValue(document, (schema['items'] ?? {}) as Json, '', known), { maxLength: 5 });
    case 'object':
      return rightObject(document, schema, known);
    default:
      return textOf(schema);
  }
}

/** @param alias the name under which a field's values are looked for, where it is not its own */
export function rightObject(
  document: Json,
  given: Json,
  known: Known,
  alias: (name: string) => string = (name) => name,
): fc.Arbitrary<Record<string, unknown>> {
  const schema = resolve(document, given);
  const properties = (schema['properties'] ?? {}) as Record<string, Json>;
  const required = new Set((schema['required'] ?? []) as string[]);
  const members = Object.fromEntries(
    Object.entries(properties).map(([name, each]) => [name, rightValue(document, each, alias(name), known)]),
  );
  return fc.record(members, { requiredKeys: Object.keys(members).filter((name) => required.has(name)) });
}
