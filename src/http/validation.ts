// From an endpoint's Joi schema to our own messages: Joi's know no French, and its errors carry the values, passwords too.
import Joi from 'joi';
import { unprocessable, type FieldErrors } from '../infra/errors';
import type { Message, MessageKey } from '../i18n';

/** The rules of api/schemas.ts fail with a message's key itself; these are Joi's own. */
const KEYS: Record<string, MessageKey> = {
  'any.required': 'field.required',
  'any.only': 'field.one_of',
  'string.base': 'field.string',
  'string.empty': 'field.required',
  'string.max': 'field.max',
  'string.min': 'field.min',
  'string.length': 'field.length',
  'string.pattern.base': 'field.pattern',
  'object.base': 'field.object',
  'string.email': 'field.email',
  'string.pattern.name': 'field.code',
};

function toMessage({ type, path, context = {} }: Joi.ValidationErrorItem): Message {
  const key = KEYS[type] ?? (type.startsWith('message:') ? (type.slice(8) as MessageKey) : 'field.invalid');
  const values: Message['values'] = { attribute: String(path.at(-1) ?? '') };
  for (const name of ['limit', 'min', 'max', 'property', 'parameter', 'section', 'line', 'text', 'allowed'] as const) {
    const value = context[name] as unknown;
    if (typeof value === 'number' || typeof value === 'string') values[name] = value;
  }
  if (type === 'any.only') values['allowed'] = (context['valids'] as unknown[]).filter((valid) => typeof valid === 'string').join(', ');
  return { key, values };
}

/** The field at fault and what to say of it. Of fields that go together the missing one is at fault, not the object around them. */
function toFault(detail: Joi.ValidationErrorItem): [field: string, message: Message] {
  if (detail.type !== 'object.and') return [detail.path.join('.'), toMessage(detail)];
  const missing = (detail.context?.['missing'] as string[] | undefined)?.[0] ?? '';
  return [[...detail.path, missing].join('.'), { key: 'field.required', values: { attribute: missing } }];
}

/** A text of a schema, and how many characters it may have. */
interface Limit {
  path: string[];
  limit: number;
}

function findLimits(description: Joi.Description, path: string[] = []): Limit[] {
  const rules = (description as { rules?: { name: string; args?: { limit?: unknown } }[] }).rules ?? [];
  const limit = description.type === 'string' ? rules.find(({ name }) => name === 'max')?.args?.limit : undefined;
  const inside = Object.entries((description.keys ?? {}) as Record<string, Joi.Description>);
  return [
    ...(typeof limit === 'number' ? [{ path, limit }] : []),
    ...inside.flatMap(([name, child]) => findLimits(child, [...path, name])),
  ];
}

/** What is read of a schema once: limits of its texts, and its fields in their order. */
interface Known {
  limits: Limit[];
  fields: string[];
}
const known = new WeakMap<Joi.Schema, Known>();
const OPTIONS: Joi.ValidationOptions = { abortEarly: false, convert: false, stripUnknown: true };

function knownOf(schema: Joi.ObjectSchema): Known {
  let found = known.get(schema);
  if (!found) {
    const description = schema.describe();
    found = { limits: findLimits(description), fields: Object.keys((description.keys ?? {}) as object) };
    known.set(schema, found);
  }
  return found;
}

function isTooLong({ path, limit }: Limit, value: unknown): boolean {
  let inner = value;
  for (const name of path) inner = (inner as Record<string, unknown> | null | undefined)?.[name];
  return typeof inner === 'string' && inner.length > limit;
}

const NONE: readonly Limit[] = [];

/** Texts that are too long, whatever else is wrong with them: no other rule looks at those, since patterns take their time. */
function findTooLong(schema: Joi.ObjectSchema, value: unknown): readonly Limit[] {
  const { limits } = knownOf(schema);
  for (const limit of limits) if (isTooLong(limit, value)) return limits.filter((each) => isTooLong(each, value));
  return NONE;
}

/** The faults by field, in the order of the schema's fields. */
function inOrder(schema: Joi.ObjectSchema, faults: readonly [field: string, message: Message][]): FieldErrors {
  const { fields } = knownOf(schema);
  const placeOf = (field: string): number => fields.indexOf(field.split('.', 1)[0] ?? '');
  const errors: FieldErrors = {};
  for (const [field, message] of faults.toSorted(([a], [b]) => placeOf(a) - placeOf(b))) (errors[field] ??= []).push(message);
  return errors;
}

/**
 * Checks a body, path parameters or a query. Fields that the schema does not know are dropped, nothing is converted.
 *
 * @returns what the schema made of it: defaults filled in
 * @throws {ApiError} 422 with every field's faults, in the schema's order; of a text that is too long only that
 */
export function validate<T>(schema: Joi.ObjectSchema<T>, value: unknown): T {
  const tooLong = findTooLong(schema, value);
  const rest =
    tooLong.length === 0
      ? schema
      : schema.fork(
          tooLong.map(({ path }) => path.join('.')),
          () => Joi.any(),
        );
  const { value: result, error } = rest.validate(value, OPTIONS);
  if (!error && tooLong.length === 0) return result;
  const lengths = tooLong.map(({ path, limit }): [string, Message] => [
    path.join('.'),
    { key: 'field.max', values: { attribute: path.at(-1) ?? '', limit } },
  ]);
  throw unprocessable(inOrder(schema, [...lengths, ...(error?.details ?? []).map(toFault)]));
}
