// What shapes of answers are made of.
import Joi from 'joi';

export const date = Joi.string()
  .pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  .meta({ json: { format: 'date-time', examples: ['2026-01-31T09:08:07.000000Z'] } });
export const plainDate = Joi.string()
  .pattern(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
  .meta({ json: { description: 'UTC', examples: ['2026-01-31 09:08:07'] } });
export const id = Joi.number()
  .integer()
  .meta({ json: { format: 'int32' } });
/** Of tables whose rows come and go. */
export const longId = Joi.number()
  .integer()
  .meta({ json: { format: 'int64' } });
export const count = Joi.number()
  .integer()
  .meta({ json: { format: 'int64', minimum: 0 } });
export const maybe = (schema: Joi.Schema): Joi.Schema => schema.allow(null).required();
/** A shape under its own name in the document. */
export const named = (name: string, members: Joi.SchemaMap): Joi.ObjectSchema => Joi.object(members).meta({ name });
/** A named shape with more members, or others, than another one. */
export const extended = (name: string, base: Joi.ObjectSchema, members: Joi.SchemaMap): Joi.ObjectSchema =>
  base.keys(members).meta({ name, base: { schema: () => base, own: Object.keys(members) } });
export const listOf = (schema: Joi.Schema): Joi.Schema => Joi.array().items(schema);
