// Codes sent to a new phone number; `code` null = spent, void or superseded.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, client, dated, dates, id, optional, required, sending, type SendState, SMALLINT, varchar } from '../columns';

export class PhoneChangeCode extends Model<InferAttributes<PhoneChangeCode>, InferCreationAttributes<PhoneChangeCode>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare code: CreationOptional<string | null>;
  declare phone: string;
  declare attempts: CreationOptional<number>;
  declare language: CreationOptional<string>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare send_state: CreationOptional<SendState | null>;
  declare send_deadline: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
PhoneChangeCode.init(
  {
    id,
    account_id: accountId,
    code: optional(varchar(255)),
    phone: required(varchar(255)),
    attempts: required(SMALLINT, 0),
    language: required(varchar(2), 'en'),
    ...client,
    ...sending,
    ...dates,
  },
  { sequelize: database, tableName: 'phone_change_codes', ...dated },
);
