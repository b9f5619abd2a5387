// Whose rows a query may touch. Admins see the accounts of their own Space and what hangs on them, super admins those of all Spaces. A model
// made `confined` here refuses every query that does not say on whose behalf it asks.
import { type FindOptions, literal, type Model, type ModelStatic, Op, type ScopeOptions, type WhereOptions } from 'sequelize';
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

/** The option that a query has once it went through `visibleTo`. */
const MARK = 'confined';

/** For confine(): rows that hang on accounts of the domain. */
export const ofAccountsIn = (domain: string): WhereOptions => ({
  account_id: { [Op.in]: literal(`(SELECT id FROM accounts WHERE domain = ${database.escape(domain)})`) },
});

const GUARDED_HOOKS = ['beforeFind', 'beforeBulkUpdate', 'beforeBulkDestroy'] as const;
/** Statics that run no hook, or run theirs before they merge the scope; count(), min(), max() and sum() aggregate, decrement() increments. */
const GUARDED_STATICS = ['aggregate', 'increment'] as const;

/**
 * Gives a model the scope `visibleTo`, and lets none of its finders, counts, sums, updates and deletions run without it. What replaces a row
 * that is there already looks at no scope, so it is refused at all.
 *
 * @param ofDomain which rows a viewer confined to a domain sees
 */
export function confine<M extends Model>(model: ModelStatic<M>, ofDomain: (domain: string) => WhereOptions): void {
  model.addScope('visibleTo', (viewer: Viewer) => ({
    [MARK]: true,
    ...(viewer.super_admin ? {} : { where: ofDomain(viewer.domain) }),
  }));
  const requireMark = (scope: object): void => {
    if (!(MARK in scope)) throw new Error(`${model.name} is queried without a scope: ${model.name}.scope(visibleTo(viewer))`);
  };
  for (const hook of GUARDED_HOOKS) model.addHook(hook, (options: FindOptions) => requireMark(options));
  for (const name of GUARDED_STATICS) {
    const original = Reflect.get(model, name) as (...given: unknown[]) => Promise<unknown>;
    Reflect.set(model, name, async function guarded(this: ModelStatic<M>, ...given: unknown[]): Promise<unknown> {
      requireMark(Reflect.get(this, '_scope') as object);
      return original.apply(this, given);
    });
  }
  const refuseReplacing = (): never => {
    throw new Error(`${model.name} is not upserted: the row that is there may be another Space's`);
  };
  model.addHook('beforeUpsert', refuseReplacing);
  model.addHook('beforeBulkCreate', (_rows, options) => {
    if (options.updateOnDuplicate) refuseReplacing();
  });
}
