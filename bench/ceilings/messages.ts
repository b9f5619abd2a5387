// What the ceilings of POST /statistics/messages have in common.
import Joi from 'joi';

/** A message that Flexisip reports. */
export interface Message {
  id: string;
  from: string;
  sent_at: Date;
  encrypted: boolean;
  conference_id?: string;
}

const schema = Joi.object<Message, true>({
  id: Joi.string().max(64).required(),
  from: Joi.string()
    .max(512)
    .pattern(/^[^@]+@[^@]+$/)
    .required(),
  sent_at: Joi.date().iso().required(),
  encrypted: Joi.boolean().required(),
  conference_id: Joi.string().max(255),
});

/** The message that a body is; undefined where it is none. */
export function readMessage(body: unknown): Message | undefined {
  const { value, error } = schema.validate(body);
  return error ? undefined : value;
}

/** The columns of a message's row, in the order of INSERT. */
export function rowOf({ id, from, sent_at, encrypted, conference_id }: Message): [string, string, string, Date, boolean, string | null] {
  const [username = '', domain = ''] = from.split('@');
  return [id, username, domain, sent_at, encrypted, conference_id ?? null];
}

export const INSERT = `
  INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, encrypted, conference_id, created_at, updated_at)`;
