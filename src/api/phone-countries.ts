// Countries whose phone numbers are accepted; under two names, as two generations of clients ask for them.
import Joi from 'joi';
import { ok, route } from '../http/route';
import { PhoneCountry } from '../models';
import { shapes } from './shapes';

export const phoneCountries = (['/phone_countries', '/phones_countries'] as const).map((path) =>
  route({
    method: 'get',
    changes: false,
    path,
    access: 'public',
    scope: null,
    group: 'Phone countries',
    summary: 'Lists all countries, by code',
    answers: { 200: { description: 'Countries', schema: Joi.array().items(shapes.phoneCountry) } },
    handler: async () => ok(await PhoneCountry.scope('byCode').findAll({ attributes: ['code', 'country_code', 'activated'], raw: true })),
  }),
);
