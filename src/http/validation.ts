// From an endpoint's Joi schema to our own messages: Joi's know no French, and its errors carry the values, passwords too.
import type Joi from 'joi';
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
  for (const name of ['limit', 'min', 'max', 'property', 'line', 'reason'] as const) {
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

/**
 * Checks a body, path parameters or a query. Fields that the schema does not know are dropped, nothing is converted.
 *
 * @returns what the schema made of it: defaults filled in
 * @throws {ApiError} 422 with every field's faults, in the schema's order
 */
export function validate<T>(schema: Joi.ObjectSchema<T>, value: unknown): T {
  const { value: result, error } = schema.validate(value, { abortEarly: false, convert: false, stripUnknown: true });
  if (!error) return result;
  const errors: FieldErrors = {};
  for (const detail of error.details) {
    const [field, message] = toFault(detail);
    (errors[field] ??= []).push(message);
  }
  throw unprocessable(errors);
}
