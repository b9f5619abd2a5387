// One-time tokens that were used up, while it is not known whether the answer reached the client.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model, Op } from 'sequelize';
import { database, execute } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, bigId, required, TEXT, varchar } from '../columns';
import { millisecondsFromNow, NOW } from '../moments';

/** After which the process that makes the answer is taken for dead. */
const LEASE_SECONDS = 2;
/** From the first use of the token on. */
const RETRY_SECONDS = 60;

/** What a token was used for. */
export type DeliveryKind = 'provisioning' | 'auth_token_provisioning' | 'auth_token_key';

/** Which token, for what, and for whom. */
export type DeliveryKey = Pick<Attributes<TokenDelivery>, 'kind' | 'token_hash' | 'network'>;

export class TokenDelivery extends Model<InferAttributes<TokenDelivery>, InferCreationAttributes<TokenDelivery>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare kind: DeliveryKind;
  /** SHA-256, in hexadecimal: nobody needs the token itself any more. */
  declare token_hash: string;
  /** Of the client that used the token; nobody else has the answer again. */
  declare network: string;
  /** Until then somebody is about to answer. */
  declare retry_from: Date;
  declare retry_until: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * Records a first use, last in its transaction: its lease begins when the answer is made. One statement, since a token that was imported twice
   * may have a row already.
   */
  static async begin(account_id: number, { kind, token_hash, network }: DeliveryKey): Promise<void> {
    await execute(
      `INSERT INTO token_deliveries (account_id, kind, token_hash, network, retry_from, retry_until, created_at, updated_at)
       VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5), clock_timestamp() + make_interval(secs => $6), now(), now())
       ON CONFLICT (kind, token_hash) DO UPDATE SET account_id = excluded.account_id, network = excluded.network,
         retry_from = excluded.retry_from, retry_until = excluded.retry_until, updated_at = now()`,
      [account_id, kind, token_hash, network, LEASE_SECONDS, RETRY_SECONDS],
    );
  }

  /** The answer was made again: a new lease, within the same minute. */
  static async renew({ kind, token_hash, network }: DeliveryKey): Promise<void> {
    await this.update({ retry_from: millisecondsFromNow(LEASE_SECONDS * 1000) }, { where: { kind, token_hash, network } });
  }

  /** A use whose answer this client may have again, now or (`pending`) once it is known to be lost. */
  static findOpen({ kind, token_hash, network }: DeliveryKey): Promise<{ account_id: number; pending: boolean } | null> {
    return this.findOne({
      attributes: ['account_id', [literal('(retry_from > clock_timestamp())'), 'pending']],
      where: { kind, token_hash, network, retry_until: { [Op.gt]: NOW } },
      raw: true,
    }) as Promise<{ account_id: number; pending: boolean } | null>;
  }

  /** The answer is out: the token is spent for good. */
  static async end({ kind, token_hash, network }: DeliveryKey): Promise<void> {
    await this.destroy({ where: { kind, token_hash, network } });
  }

  /** The answer is lost: the client may ask at once. */
  static async lose({ kind, token_hash, network }: DeliveryKey): Promise<void> {
    await this.update({ retry_from: NOW }, { where: { kind, token_hash, network } });
  }
}
TokenDelivery.init(
  {
    id: bigId,
    account_id: accountId,
    kind: required(TEXT),
    token_hash: required(varchar(64)),
    network: required(varchar(255)),
    retry_from: required(DATE),
    retry_until: required(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'token_deliveries', ...dated },
);
