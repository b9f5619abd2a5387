// Codes sent to a new email address; `code` null = spent, void or superseded.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, client, dated, dates, id, optional, required, sending, type SendState, SMALLINT, varchar } from '../columns';

export class EmailChangeCode extends Model<InferAttributes<EmailChangeCode>, InferCreationAttributes<EmailChangeCode>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare code: CreationOptional<string | null>;
  declare email: string;
  declare attempts: CreationOptional<number>;
  declare language: CreationOptional<string>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare send_state: CreationOptional<SendState | null>;
  declare send_deadline: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
EmailChangeCode.init(
  {
    id,
    account_id: accountId,
    code: optional(varchar(255)),
    email: required(varchar(255)),
    attempts: required(SMALLINT, 0),
    language: required(varchar(2), 'en'),
    ...client,
    ...sending,
    ...dates,
  },
  { sequelize: database, tableName: 'email_change_codes', ...dated },
);
