// Whose rows a query may touch. Admins see the accounts of their own Space and what hangs on them, super admins those of all Spaces. A model
// made `confined` here refuses every query that does not say on whose behalf it asks.
import {
  type CountOptions,
  type FindOptions,
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

/** The option that a query has once it went through `visibleTo`. */
const MARK = 'confined';

/** For confine(): rows that hang on accounts of the domain. */
export const ofAccountsIn = (domain: string): WhereOptions => ({
  account_id: { [Op.in]: literal(`(SELECT id FROM accounts WHERE domain = ${database.escape(domain)})`) },
});

const GUARDED = ['beforeFind', 'beforeBulkUpdate', 'beforeBulkDestroy'] as const;

/**
 * Gives a model the scope `visibleTo`, and lets none of its finders, counts, updates and deletions run without it.
 *
 * @param ofDomain which rows a viewer confined to a domain sees
 */
export function confine<M extends Model>(model: ModelStatic<M>, ofDomain: (domain: string) => WhereOptions): void {
  model.addScope('visibleTo', (viewer: Viewer) => ({
    [MARK]: true,
    ...(viewer.super_admin ? {} : { where: ofDomain(viewer.domain) }),
  }));
  const refuse = (): never => {
    throw new Error(`${model.name} is queried without a scope: ${model.name}.scope(visibleTo(viewer))`);
  };
  for (const hook of GUARDED)
    model.addHook(hook, (options: FindOptions) => {
      if (!(MARK in options)) refuse();
    });
  // count() runs its hook before it merges the scope's options.
  model.addHook('beforeCount', function requireScope(this: ModelStatic<M>, _options: CountOptions) {
    if (!(MARK in (Reflect.get(this, '_scope') as object))) refuse();
  });
}
