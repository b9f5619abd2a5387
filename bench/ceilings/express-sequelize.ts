// Ceiling: Express 5 and Sequelize's models, as they are ordinarily written: the caller by API key with its account and Space, then the account
// with everything that hangs on it.
import { createServer } from 'node:http';
import express from 'express';
import { DataTypes, Model, type ModelStatic, type ModelAttributes, Sequelize } from 'sequelize';
import { serve } from './serve';
import { type AccountRow, hashed, present } from './statements';

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
const Account = define('accounts', {
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
const ApiKey = define('api_keys', { account_id: INTEGER, key: STRING });
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
const many = {
  passwords: Password,
  email_change_codes: EmailChangeCode,
  phone_change_codes: PhoneChangeCode,
  provisioning_tokens: ProvisioningToken,
  dictionary: DictionaryEntry,
  actions: AccountAction,
};
for (const [as, table] of Object.entries(many)) Account.hasMany(table, { foreignKey: 'account_id', as });

const newest = <Item extends { id: number }>(items: Item[]): Item | null => items.toSorted((a, b) => b.id - a.id)[0] ?? null;
type Loaded = Omit<AccountRow, 'dictionary' | 'passwords' | 'types' | 'actions'> & {
  passwords: { id: number; algorithm: string }[];
  email_change_codes: { id: number; account_id: number; code: string | null; created_at: string; updated_at: string | null }[];
  phone_change_codes: Loaded['email_change_codes'];
  provisioning_tokens: { id: number; token: string; used: boolean; created_at: string }[];
  dictionary: { key: string; value: string }[];
  types: { id: number; key: string }[];
  actions: { id: number; key: string; code: string }[];
};

async function findAccount(id: number): Promise<AccountRow | null> {
  const found = await Account.findByPk(id, { include: [...Object.keys(many), 'types', 'activation_expiration'] });
  if (!found) return null;
  const { email_change_codes: emails, phone_change_codes: _, provisioning_tokens: tokens, ...account } = found.toJSON<Loaded>();
  const code = newest(emails.filter((row) => row.code !== null));
  const { id: _id, account_id: _account, code: _code, ...pending } = code ?? {};
  return {
    ...account,
    passwords: account.passwords.map(({ algorithm }) => ({ algorithm })),
    email_change_code: code && (pending as AccountRow['email_change_code']),
    phone_change_code: null,
    provisioning: newest(tokens.filter(({ used }) => !used)),
    dictionary: Object.fromEntries(account.dictionary.map(({ key, value }) => [key, value])),
    types: account.types.map(({ id: type, key }) => ({ id: type, key })),
    actions: account.actions.map(({ id: action, key, code: sent }) => ({ id: action, key, code: sent })),
  };
}

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const include = [{ association: 'account', include: ['space'] }];
  const found = await ApiKey.findOne({ where: { key: hashed(request.get('x-api-key')) }, include });
  const caller = found?.['account'] as { id: number; blocked: boolean; space: { expire_at: Date | null } } | undefined;
  const isOpen = caller && !caller.blocked && (caller.space.expire_at === null || caller.space.expire_at > new Date());
  const account = isOpen ? await findAccount(caller.id) : null;
  if (account) response.json(present(account));
  else response.sendStatus(401);
});
serve(createServer(app));
