// Tokens that a person validates on a page, to be exchanged for a creation token.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model, Op } from 'sequelize';
import { settings } from '../../../config';
import { database } from '../../infra/sequelize';
import { BOOLEAN, client, DATE, dated, dates, bigId, BIGINT, optional, required, varchar } from '../columns';
import { createdWithin } from '../moments';

export class AccountCreationRequestToken extends Model<
  InferAttributes<AccountCreationRequestToken>,
  InferCreationAttributes<AccountCreationRequestToken>
> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare used: CreationOptional<boolean>;
  declare validated_at: CreationOptional<Date | null>;
  declare acc_creation_token_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  /** Of the address, as limits count it (`networkOf()` of infra/ip-address.ts). */
  declare network: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Marks a token as validated; of several times the first counts. @returns false where it is unknown, used or expired */
  static async validateToken(token: string): Promise<boolean> {
    const [changed] = await this.scope('alive').update({ validated_at: literal('coalesce(validated_at, now())') }, { where: { token } });
    return changed === 1;
  }
}
AccountCreationRequestToken.init(
  {
    id: bigId,
    token: required(varchar(16)),
    used: required(BOOLEAN, false),
    validated_at: optional(DATE),
    acc_creation_token_id: optional(BIGINT),
    ...client,
    network: optional(varchar(255)),
    ...dates,
  },
  {
    sequelize: database,
    tableName: 'account_creation_request_tokens',
    ...dated,
    scopes: {
      /** May still be validated or exchanged; a request token lives as long as a creation token does. */
      alive: () => {
        const lifeMinutes = settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES;
        return { where: { used: false, ...(lifeMinutes === 0 ? {} : createdWithin(lifeMinutes)) } };
      },
      /** A person has shown to be one. */
      validated: { where: { validated_at: { [Op.ne]: null } } },
    },
  },
);
