// Spaces: SIP domains with their hosts and settings.
import Joi from 'joi';
import { forbidden, notFound } from '../infra/errors';
import { type Caller, created, ok, route } from '../http/route';
import {
  createSpace,
  findSpace,
  isBeforeToday,
  listSpaces,
  SPACE_FLAGS,
  updateSpace,
  type SpaceFlag,
  type SpaceValues,
} from '../services/spaces/spaces';
import { mayUse } from '../services/credentials/identities';
import { deleteSpace } from '../services/spaces/deletion';
import { presentSpace } from './presenters';
import { boolean, integer, isoDate, text } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'super_admin', group: 'Spaces' } as const;

/** Not before today 00:00 UTC; today means «expired now». Null where it never expires. */
const expireAt = (): Joi.DateSchema =>
  isoDate().custom((value: Date, helpers) => (isBeforeToday(value) ? helpers.error('message:field.not_before_today') : value));

const host = (): Joi.StringSchema => text(255).pattern(/^[A-Za-z0-9_.:[\]-]+$/);
const limit = (): Joi.NumberSchema => integer(0);

/** On creation, what is absent has its default. */
const onCreation = (flag: SpaceFlag): Joi.BooleanSchema =>
  flag === 'super' ? boolean().required() : boolean().default(flag === 'disable_broadcast_feature');

const flags = (schema: (flag: SpaceFlag) => Joi.Schema): Record<SpaceFlag, Joi.Schema> =>
  Object.fromEntries(SPACE_FLAGS.map((flag) => [flag, schema(flag)])) as Record<SpaceFlag, Joi.Schema>;

const creation = Joi.object<SpaceValues & { domain: string }>({
  domain: text(64)
    .pattern(/^[A-Za-z0-9_.-]+$/)
    .required(),
  host: host(),
  ...flags(onCreation),
  max_account: limit().default(0),
  max_accounts: limit().default(0),
  expire_at: expireAt().default(null),
}).meta({ name: 'NewSpace' });

// «Present, but may be null»: the body's null stands for itself here.
const presentOrNull = (): Joi.Schema => isoDate().empty().allow(null).required();

const change = Joi.object<SpaceValues>({
  host: host(),
  ...flags(() => boolean().required()),
  max_account: limit().required(),
  max_accounts: limit().required(),
  expire_at: presentOrNull(),
}).meta({ name: 'SpaceChange' });

/**
 * Refuses a key that would make super admins of a Space's admins, or ordinary ones again, and has not all scopes: a super admin has them all.
 *
 * @throws {ApiError} 403
 */
async function requireMaySetSuper({ scopes }: Caller, domain: string, isSuper: boolean): Promise<void> {
  if (mayUse(scopes, '*') || ((await findSpace(domain))?.super ?? false) === isSuper) return;
  throw forbidden('auth.scope', { scope: '*' });
}

export const spaces = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/spaces',
    scope: 'spaces:read',
    summary: 'Lists all spaces',
    answers: { 200: { description: 'All of them, by id', schema: Joi.array().items(shapes.space) } },
    handler: async () => ok((await listSpaces()).map(presentSpace)),
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/spaces/:domain',
    scope: 'spaces:read',
    summary: 'Shows a space',
    answers: { 200: { description: 'The space', schema: shapes.space }, 404: 'No such space' },
    handler: async ({ params }) => {
      const space = await findSpace(params.domain);
      if (!space) throw notFound('space.not_found');
      return ok(presentSpace(space));
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/spaces',
    scope: 'spaces:write',
    summary: 'Makes a space',
    description: '`max_account` is told to apps, `max_accounts` is enforced; 0 = no limit.',
    body: creation,
    answers: { 201: { description: 'The space', schema: shapes.space } },
    handler: async ({ caller, body: { domain, ...values } }) => {
      await requireMaySetSuper(caller, domain, values.super);
      return created(presentSpace(await createSpace(domain, values)));
    },
  }),
  route({
    ...shared,
    method: 'put',
    path: '/spaces/:domain',
    scope: 'spaces:write',
    summary: 'Changes a space',
    description:
      'Takes the body that GET gives. The domain cannot be changed; `host` stays where it is absent; `expire_at` must be there, and may be null, or what it is. The last super space with an admin stays super.',
    body: change,
    answers: { 200: { description: 'The space', schema: shapes.space }, 404: 'No such space' },
    handler: async ({ caller, params, body }) => {
      await requireMaySetSuper(caller, params.domain, body.super);
      const space = await updateSpace(params.domain, body);
      if (!space) throw notFound('space.not_found');
      return ok(presentSpace(space));
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/spaces/:domain',
    scope: 'spaces:write',
    summary: 'Deletes a space with all its accounts',
    description: 'And everything that hangs on them, its contacts lists, its figures, and the statistics sent from it.',
    answers: {
      200: { description: 'Deleted', schema: shapes.empty },
      404: 'No such space',
      409: 'No super space with an admin would be left',
    },
    handler: async ({ caller, params }) => {
      await requireMaySetSuper(caller, params.domain, false);
      if (!(await deleteSpace(params.domain))) throw notFound('space.not_found');
      return ok();
    },
  }),
];
