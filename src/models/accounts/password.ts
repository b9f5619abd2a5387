// Passwords as HA1 hashes; a SIP server reads the same table.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, id, required, varchar } from '../columns';

export class Password extends Model<InferAttributes<Password>, InferCreationAttributes<Password>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  /** HA1 in hexadecimal; with `CLRTXT`, which imports may bring, the password itself. */
  declare password: string;
  declare algorithm: CreationOptional<'MD5' | 'SHA-256' | 'CLRTXT'>;
}
Password.init(
  {
    id,
    account_id: accountId,
    password: required(varchar(255)),
    algorithm: required(varchar(10), 'MD5'),
  },
  { sequelize: database, tableName: 'passwords' },
);

/** A password as its account knows it. */
export type StoredPassword = Pick<Attributes<Password>, 'algorithm' | 'password'>;

/**
 * SQL of a column `passwords`: those of the account `a` in the order stored, as JSON; for statements that read much at once.
 *
 * @param columns which attributes of each
 */
export const passwordsSql = (...columns: (keyof StoredPassword)[]): string =>
  `coalesce((SELECT json_agg(json_build_object(${columns.map((column) => `'${column}', p.${column}`).join(', ')}) ORDER BY p.id)
               FROM passwords p WHERE p.account_id = a.id), '[]') AS passwords`;
