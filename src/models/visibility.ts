// Whose rows a query may touch. Admins see the accounts of their own Space and what hangs on them, super admins those of all Spaces. A model
// made `confined` here refuses every query that does not say on whose behalf it asks. What stays open: a literal with an OR as condition
// (Sequelize sets no brackets around it), statements of our own, and `create`, which names the owner of its row.
import {
  type BulkCreateOptions,
  type DestroyOptions,
  literal,
  type Model,
  type ModelStatic,
  Op,
  type ScopeOptions,
  type WhereOptions,
} from 'sequelize';
import { database } from '../infra/sequelize';

/** On whose behalf something is asked or done; a `Caller` is one. */
export interface Viewer {
  /** The Space of the viewer's own account. */
  readonly domain: string;
  readonly super_admin: boolean;
}

/** The program itself: jobs, the command line, and whatever comes before it is known who calls. Sees everything. */
export const SYSTEM: Viewer = { domain: '', super_admin: true };

/** The one domain that the viewer is confined to; null: all are visible. For statements of our own. */
export const confinedTo = ({ domain, super_admin }: Viewer): string | null => (super_admin ? null : domain);

/** `Account.scope(visibleTo(caller)).findByPk(5)`: the rows that the viewer may see and change. */
export const visibleTo = (viewer: Viewer): ScopeOptions => ({ method: ['visibleTo', viewer] });

/** What a scope has that went through `visibleTo`. */
const MARK = 'confined';

/** For confine(): rows that hang on accounts of the domain. */
export const ofAccountsIn = (domain: string): WhereOptions => ({
  account_id: { [Op.in]: literal(`(SELECT id FROM accounts WHERE domain = ${database.escape(domain)})`) },
});

/** Statics through which all finders, counts, sums, updates, increments and deletions go, whatever their options. */
const GUARDED = ['findAll', 'aggregate', 'update', 'increment', 'destroy'] as const;
/** What an instance does to the row that it stands for; of a new one, `save` inserts it. */
const GUARDED_OF_INSTANCES = ['save', 'destroy'] as const;

type Method = (this: unknown, ...parameters: unknown[]) => unknown;

/** Runs `check` before each call of a method; what it throws rejects the call. */
function guard(holder: object, name: string, check: (self: unknown, parameters: unknown[]) => void): void {
  const method = Reflect.get(holder, name) as Method;
  Reflect.set(holder, name, async function guarded(this: unknown, ...parameters: unknown[]) {
    check(this, parameters);
    return method.apply(this, parameters);
  });
}

/**
 * Gives a model the scope `visibleTo`, and lets none of its finders, counts, updates and deletions run without it. Methods are wrapped, since
 * Sequelize has no hooks for sums and increments, and skips the others where a call says so.
 *
 * @param ofDomain which rows a viewer confined to a domain sees
 */
export function confine<M extends Model>(model: ModelStatic<M>, ofDomain: (domain: string) => WhereOptions): void {
  model.addScope('visibleTo', (viewer: Viewer) => ({
    [MARK]: true,
    ...(viewer.super_admin ? {} : { where: ofDomain(viewer.domain) }),
  }));
  const requireScope = (scoped: object): void => {
    if (!(MARK in (Reflect.get(scoped, '_scope') as object)))
      throw new Error(`${model.name} is queried without a scope: ${model.name}.scope(visibleTo(viewer))`);
  };
  const refuse = (what: string): never => {
    throw new Error(`${what} of ${model.name} would touch rows whatever its scope`);
  };
  guard(model, 'destroy', (_self, [options]) => {
    if ((options as DestroyOptions | undefined)?.truncate) refuse('truncate');
  });
  for (const name of GUARDED) guard(model, name, (self) => requireScope(self as object));
  for (const name of GUARDED_OF_INSTANCES)
    guard(model.prototype as object, name, (self) => {
      const instance = self as M;
      if (!instance.isNewRecord) requireScope(instance.constructor);
    });
  // ON CONFLICT DO UPDATE finds the row by itself.
  guard(model, 'upsert', () => refuse('upsert'));
  guard(model, 'bulkCreate', (_self, [, options]) => {
    if ((options as BulkCreateOptions | undefined)?.updateOnDuplicate) refuse('bulkCreate');
  });
}
