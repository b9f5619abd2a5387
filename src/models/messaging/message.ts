// A message that an admin sends through linphone-daemon, until a worker takes it.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { DATE, dated, dates, id, required, TEXT, varchar } from '../columns';

export class Message extends Model<InferAttributes<Message>, InferCreationAttributes<Message>> {
  declare id: CreationOptional<number>;
  declare recipient: string;
  declare body: string;
  declare send_deadline: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
Message.init(
  {
    id,
    recipient: required(varchar(255)),
    body: required(TEXT),
    send_deadline: required(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'messages', ...dated },
);
