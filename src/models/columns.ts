// Column definitions that many tables share.
import { DataTypes, literal, type ModelAttributeColumnOptions } from 'sequelize';

export const id: ModelAttributeColumnOptions = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true };
/** Of rows that come and go: 2³¹ of them are made within months. */
export const bigId: ModelAttributeColumnOptions = { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true };
export const accountId: ModelAttributeColumnOptions = { type: DataTypes.INTEGER, allowNull: false };
/** A column that always has a value. @param defaultValue what Sequelize writes where none is given */
export const required = (type: ModelAttributeColumnOptions['type'], defaultValue?: unknown): ModelAttributeColumnOptions => ({
  type,
  allowNull: false,
  ...(defaultValue === undefined ? {} : { defaultValue }),
});
/** A column that may be NULL. */
export const optional = (type: ModelAttributeColumnOptions['type']): ModelAttributeColumnOptions => ({ type, allowNull: true });
/** The type of a text of at most `length` characters. */
export const varchar = (length: number): ModelAttributeColumnOptions['type'] => DataTypes.STRING(length);
export const DATE = DataTypes.DATE;
export const BOOLEAN = DataTypes.BOOLEAN;
export const INTEGER = DataTypes.INTEGER;
export const INTEGERS = DataTypes.ARRAY(DataTypes.INTEGER);
export const SMALLINT = DataTypes.SMALLINT;
export const BIGINT = DataTypes.BIGINT;
export const TEXT = DataTypes.TEXT;

/** The database's clock, not the process's: ages are compared with now() in statements, and processes on several machines differ. */
const now = (): ReturnType<typeof literal> => literal('now()');
/** Columns of tables whose rows say when they were made and changed; Sequelize fills them in. */
export const dates = {
  created_at: { type: DataTypes.DATE, defaultValue: now() },
  updated_at: { type: DataTypes.DATE, defaultValue: now() },
};
/** Options that go with `dates`. */
export const dated = { timestamps: true, createdAt: 'created_at', updatedAt: 'updated_at' } as const;
/** A text that clients choose: what a column cannot hold of it is cut. PostgreSQL counts characters, not UTF-16 units. */
export const clipped = (name: string, length: number): ModelAttributeColumnOptions => ({
  type: varchar(length),
  allowNull: true,
  set(value: unknown) {
    this.setDataValue(name, typeof value === 'string' ? Array.from(value).slice(0, length).join('') : value);
  },
});
/** The client that a row was made for. */
export const client = { ip: optional(varchar(255)), user_agent: clipped('user_agent', 255) };
/** What the sweep reads of a row that needs a job. */
export const sending = { send_state: optional(TEXT), send_deadline: optional(DATE) };

/** `due`: no worker has it yet; `sending`: one has; `failed`: a worker died in the send. What was not sent has no row. */
export type SendState = 'due' | 'sending' | 'sent' | 'failed';
