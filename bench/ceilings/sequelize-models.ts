// Models of Sequelize as they are ordinarily written, for the ceilings that use it.
import { DataTypes, Model, type ModelStatic, type ModelAttributes, Sequelize } from 'sequelize';

const database = new Sequelize(process.env['DATABASE_URL'] ?? '', { logging: false, pool: { max: 10 } });
const { STRING, INTEGER, BOOLEAN, DATE } = DataTypes;

type Row = Model & Record<string, unknown>;

function define(tableName: string, columns: ModelAttributes): ModelStatic<Row> {
  class Table extends Model {}
  const dates = { created_at: DATE, updated_at: DATE };
  Table.init({ ...columns, ...dates }, { sequelize: database, modelName: tableName, tableName, timestamps: false });
  return Table as unknown as ModelStatic<Row>;
}

const Space = define('spaces', { domain: { type: STRING, primaryKey: true }, expire_at: DATE });
export const Account = define('accounts', {
  username: STRING,
  domain: STRING,
  email: STRING,
  phone: STRING,
  display_name: STRING,
  dtmf_protocol: STRING,
  activated: BOOLEAN,
  blocked: BOOLEAN,
  admin: BOOLEAN,
  ip_address: STRING,
  user_agent: STRING,
});
export const ApiKey = define('api_keys', { account_id: INTEGER, key: STRING });
const Password = define('passwords', { account_id: INTEGER, algorithm: STRING });
const ActivationExpiration = define('activation_expirations', { account_id: INTEGER, expires: DATE });
const EmailChangeCode = define('email_change_codes', { account_id: INTEGER, code: STRING, email: STRING, ip: STRING, user_agent: STRING });
const PhoneChangeCode = define('phone_change_codes', { account_id: INTEGER, code: STRING, phone: STRING, ip: STRING, user_agent: STRING });
const ProvisioningToken = define('provisioning_tokens', { account_id: INTEGER, token: STRING, used: BOOLEAN });
const DictionaryEntry = define('account_dictionary_entries', { account_id: INTEGER, key: STRING, value: STRING });
const AccountAction = define('account_actions', { account_id: INTEGER, key: STRING, code: STRING });
const AccountType = define('account_types', { key: STRING });
const AccountAccountType = define('account_account_type', { account_id: INTEGER, account_type_id: INTEGER });
for (const table of [Password, AccountAccountType]) for (const column of ['created_at', 'updated_at']) table.removeAttribute(column);

ApiKey.belongsTo(Account, { foreignKey: 'account_id', as: 'account' });
Account.belongsTo(Space, { foreignKey: 'domain', targetKey: 'domain', as: 'space' });
Account.hasOne(ActivationExpiration, { foreignKey: 'account_id', as: 'activation_expiration' });
Account.belongsToMany(AccountType, { through: AccountAccountType, foreignKey: 'account_id', otherKey: 'account_type_id', as: 'types' });
/** What an account has several of. */
const many = {
  passwords: Password,
  email_change_codes: EmailChangeCode,
  phone_change_codes: PhoneChangeCode,
  provisioning_tokens: ProvisioningToken,
  dictionary: DictionaryEntry,
  actions: AccountAction,
};
for (const [as, table] of Object.entries(many)) Account.hasMany(table, { foreignKey: 'account_id', as });

/** By which names an account's models hang on it. */
export const RELATED_MODELS = [...Object.keys(many), 'types', 'activation_expiration'];

/** How an account is found by its key, with its Space. */
export const findByKey = (key: string, include: string[] = []): Promise<Row | null> =>
  ApiKey.findOne({ where: { key }, include: [{ association: 'account', include: ['space', ...include] }] });

/** Of an account that was found so: whether it may. */
export const isOpen = ({ blocked, space }: { blocked: boolean; space: { expire_at: Date | null } }): boolean =>
  !blocked && (space.expire_at === null || space.expire_at > new Date());
