// Parameters of paths, as the documentation shows them. What is none of these is not found: that is no fault of a field.
import Joi from 'joi';

const number = (description: string): Joi.Schema =>
  Joi.any()
    .meta({ json: { type: 'integer', format: 'int32', minimum: 1, maximum: 2147483647 } })
    .description(description);
const text = (description: string, example: string): Joi.Schema =>
  Joi.string()
    .meta({ json: { examples: [example] } })
    .description(description);

/** By name, where an endpoint has no rule of its own (`params`). */
export const parameters: Record<string, Joi.Schema> = {
  id: number('Its number'),
  action_id: number('The number of the action'),
  type_id: number('The number of the type'),
  contact_id: number('The number of the account that is the contact'),
  contacts_list_id: number('The number of the contacts list'),
  sip: text('`user@domain`; a leading `sip:` or `sips:` is tolerated', 'alice@sip.example.org'),
  domain: text('The domain of the space; letter case is ignored', 'sip.example.org'),
  email: text('Email address; letter case is ignored', 'alice@example.org'),
  phone: text('International phone number', '+33612345678'),
  uuid: text('As lists show it', 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6'),
  queue: text('The name of the queue', 'chores'),
  key: text('The key in the dictionary', 'ring'),
  auth_token: text('The auth token', 'abcdefghijklmnopqrstuvwxyz012345'),
  recover_key: text('The code that came by SMS', '1234'),
};
