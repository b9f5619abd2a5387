// The trail of what operators do to queues: a row for each try, written before it is done.
import {
  type Attributes,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  JSONB,
  Model,
  Op,
  type WhereOptions,
} from 'sequelize';
import { database } from '../../infra/sequelize';
import { bigId, DATE, INTEGER, optional, required, SMALLINT, TEXT, varchar } from '../columns';
import { NOW } from '../moments';

/** Of one try; its name in the answer of the API. */
export const ACTION_SOURCES = ['board', 'api', 'cli'] as const;
export type ActionSource = (typeof ACTION_SOURCES)[number];
/**
 * `begun`: it is under way, or its process died, so that nobody knows whether it was done. `refused`: nothing was done, since it may not be. `failed`: it was
 * not done, or not to its end. `unknown`: Redis did not say whether it was done.
 */
export const ACTION_OUTCOMES = ['begun', 'done', 'refused', 'failed', 'unknown'] as const;
export type ActionOutcome = (typeof ACTION_OUTCOMES)[number];

/** What came of an action. */
export interface ActionEnd {
  outcome: Exclude<ActionOutcome, 'begun'>;
  /** Jobs that it changed, where they are counted. */
  affected?: number | null;
  /** Of the answer, by HTTP. */
  status?: number | null;
  /** Why not. */
  reason?: string | null;
}

const MAX_REASON_CHARACTERS = 255;

export class QueueAction extends Model<InferAttributes<QueueAction>, InferCreationAttributes<QueueAction>> {
  declare id: CreationOptional<number>;
  declare source: ActionSource;
  /** null: at the command line. */
  declare account_id: CreationOptional<number | null>;
  /** `user@domain`; at the command line the user of the system, and the machine. */
  declare account: string;
  /** Of the named key that was shown. */
  declare key_id: CreationOptional<number | null>;
  declare key_name: CreationOptional<string | null>;
  declare ip: CreationOptional<string | null>;
  /** `retry-failed`, `pause`, `resume`, `clean`; of the dashboard its method and route. */
  declare action: string;
  /** null: all of them. */
  declare queue: CreationOptional<string | null>;
  declare job: CreationOptional<string | null>;
  /** What it was limited to, by its names in the API. */
  declare filter: CreationOptional<Record<string, unknown> | null>;
  declare outcome: CreationOptional<ActionOutcome>;
  declare affected: CreationOptional<number | null>;
  declare status: CreationOptional<number | null>;
  declare reason: CreationOptional<string | null>;
  declare request_id: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare ended_at: CreationOptional<Date | null>;

  /** Writes down what came of it, once: the first word counts. */
  static async end(id: Attributes<QueueAction>['id'], { outcome, affected, status, reason }: ActionEnd): Promise<void> {
    await this.update(
      {
        outcome,
        affected: affected ?? null,
        status: status ?? null,
        reason: reason?.slice(0, MAX_REASON_CHARACTERS) ?? null,
        ended_at: NOW,
      },
      { where: { id, outcome: 'begun' } },
    );
  }

  /** Actions before the one with the id `before`, newest first, of one queue where one is named. */
  static page({ before, queue, limit }: { before?: number; queue?: string; limit: number }): Promise<QueueAction[]> {
    const where: WhereOptions<Attributes<QueueAction>> = {
      ...(before === undefined ? {} : { id: { [Op.lt]: before } }),
      ...(queue === undefined ? {} : { queue }),
    };
    return this.findAll({ where, order: [['id', 'DESC']], limit });
  }
}
QueueAction.init(
  {
    id: bigId,
    source: required(TEXT),
    account_id: optional(INTEGER),
    account: required(varchar(255)),
    key_id: optional(INTEGER),
    key_name: optional(varchar(64)),
    ip: optional(varchar(45)),
    action: required(TEXT),
    queue: optional(varchar(64)),
    job: optional(varchar(255)),
    filter: optional(JSONB),
    outcome: required(TEXT, 'begun'),
    affected: optional(INTEGER),
    status: optional(SMALLINT),
    reason: optional(varchar(255)),
    request_id: optional(TEXT),
    created_at: { ...required(DATE), defaultValue: NOW },
    ended_at: optional(DATE),
  },
  { sequelize: database, tableName: 'queue_actions', timestamps: false },
);
