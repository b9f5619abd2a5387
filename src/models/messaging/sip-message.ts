// A SIP message that an admin sends through linphone-daemon, until a worker takes it.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { DATE, dated, dates, bigId, required, TEXT, varchar } from '../columns';

export class SipMessage extends Model<InferAttributes<SipMessage>, InferCreationAttributes<SipMessage>> {
  declare id: CreationOptional<number>;
  /** `user@domain`. */
  declare recipient: string;
  declare body: string;
  declare send_deadline: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * Takes a message for sending, once: the row is gone after that. A statement of our own, since Sequelize's `destroy` does not give back
   * what it deleted.
   *
   * @returns null where it is gone or too late
   */
  static async take(rowId: number): Promise<Pick<Attributes<SipMessage>, 'recipient' | 'body'> | null> {
    const [message] = await select<Pick<Attributes<SipMessage>, 'recipient' | 'body'>>(
      'DELETE FROM messages WHERE id = $1 AND send_deadline > now() RETURNING recipient, body',
      [rowId],
    );
    return message ?? null;
  }
}
SipMessage.init(
  {
    id: bigId,
    recipient: required(varchar(255)),
    body: required(TEXT),
    send_deadline: required(DATE),
    ...dates,
  },
  {
    sequelize: database,
    tableName: 'messages',
    ...dated,
  },
);
