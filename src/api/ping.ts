// GET /ping: whether the API answers.
import Joi from 'joi';
import { ok, route } from '../http/route';

export const ping = [
  route({
    method: 'get',
    changes: false,
    path: '/ping',
    access: 'public',
    scope: null,
    group: 'Ping',
    summary: 'Answers pong',
    formats: ['text/plain', 'application/json'],
    answers: { 200: { description: 'pong, as plain text', schema: Joi.string().valid('pong') } },
    handler: () => Promise.resolve(ok('pong')),
  }),
];
