// What SIP servers read of the accounts: two views, and the role that may read nothing else. Statements of our own: a SIP server runs them, or an operator.
import { select } from '../../infra/sequelize';
import { type AskSql, type SqlAddress, sqlAddressOf, withSqlGuest } from '../../infra/sql-guest';
import type { AccountName } from './account';

/** `sip_credentials`: a row a password, for Flexisip; `sip_subscribers`: a row an account, for auth_db of Kamailio and OpenSIPS. */
const SIP_VIEWS = ['sip_credentials', 'sip_subscribers'] as const;

/** PostgreSQL cuts longer names off. */
export const MAX_ROLE_CHARACTERS = 63;

const identifier = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Where the views are. */
export interface ViewsPlace {
  database: string;
  schema: string;
  /** Whether the migration that makes them has run. */
  there: boolean;
}

/** Asks the program's own database where the views are. */
export async function findViewsPlace(): Promise<ViewsPlace> {
  const [found] = await select<ViewsPlace>(
    `SELECT current_database()::text AS database, coalesce(n.nspname, current_schema())::text AS schema, c.oid IS NOT NULL AS there
       FROM (SELECT to_regclass($1) AS oid) AS v LEFT JOIN pg_class c ON c.oid = v.oid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace`,
    [SIP_VIEWS[0]],
  );
  return found ?? { database: '', schema: 'public', there: false };
}

/** Where the program itself connects to, by libpq's names. @param url `postgres://…` */
export const programAddress = (url: string): SqlAddress => sqlAddressOf(url);

/** Names a view so that a role with PostgreSQL's own search_path finds it. */
const inSchema = (schema: string, view: string): string => (schema === 'public' ? view : `${identifier(schema)}.${view}`);

/**
 * The statement with which Flexisip asks for passwords (`soci-password-request`): columns and conditions of its default, on the view, which blocked accounts
 * are not in.
 *
 * @param domain where one realm is for all domains, which one is served: Flexisip has the realm in the place of `:domain`
 */
export const passwordRequest = ({ schema }: Pick<ViewsPlace, 'schema'>, domain?: string): string =>
  `select password, algorithm from ${inSchema(schema, 'sip_credentials')} where username = :id and domain = ${
    domain === undefined ? ':domain' : literal(domain)
  } and activated = true`;

/** The roles that PostgreSQL has whose names begin so: they are of the whole server, and other databases' too. */
export async function findRoles(prefix: string): Promise<Set<string>> {
  const found = await select<{ name: string }>('SELECT rolname::text AS name FROM pg_roles WHERE starts_with(rolname::text, $1)', [prefix]);
  return new Set(found.map(({ name }) => name));
}

/**
 * The statements that make a role which may read the views and nothing else; they may run again.
 *
 * @param password of letters and digits alone; undefined: the one that the role has stays
 */
export function roleStatements(
  { database, schema }: Pick<ViewsPlace, 'database' | 'schema'>,
  role: string,
  password: string | undefined,
): string[] {
  const name = identifier(role);
  return [
    `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${literal(role)}) THEN CREATE ROLE ${name} LOGIN; END IF; END $$;`,
    `ALTER ROLE ${name} LOGIN${password === undefined ? '' : ` PASSWORD ${literal(password)}`};`,
    `GRANT CONNECT ON DATABASE ${identifier(database)} TO ${name};`,
    `GRANT USAGE ON SCHEMA ${identifier(schema)} TO ${name};`,
    ...SIP_VIEWS.map((view) => `GRANT SELECT ON ${identifier(schema)}.${view} TO ${name};`),
  ];
}

/** Accounts to try a statement with; either may be missing. */
export interface Examples {
  allowed?: AccountName;
  blocked?: AccountName;
}

/** Finds an account that may register and a blocked one, both with passwords. @param domains of which; null: of all */
export async function findExamples(domains: readonly string[] | null): Promise<Examples> {
  const find = async (condition: string): Promise<AccountName | undefined> => {
    const [found] = await select<AccountName>(
      `SELECT a.username, a.domain FROM accounts a WHERE ${condition} AND a.activated AND ($1::text[] IS NULL OR a.domain = ANY($1::text[]))
          AND EXISTS (SELECT 1 FROM passwords p WHERE p.account_id = a.id) ORDER BY a.id LIMIT 1`,
      [domains],
    );
    return found;
  };
  const [allowed, blocked] = [await find('NOT a.blocked'), await find('a.blocked')];
  return { ...(allowed ? { allowed } : {}), ...(blocked ? { blocked } : {}) };
}

/** What a role may do beyond reading the views. */
export interface Excess {
  /** `superuser`, `createdb`, … */
  attributes: string[];
  /** Relations of which it may read a column at least, or write. */
  relations: string[];
  /** Schemas and databases in which it may make something. */
  makes: string[];
}

/** What extensions give to everybody (pg_stat_statements) is no fault of the role. */
const EXCESS = `
SELECT 'attributes', unnest(array_remove(ARRAY[
         CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcreatedb THEN 'createdb' END,
         CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END], NULL))
  FROM pg_roles WHERE rolname = current_user
UNION ALL
SELECT 'relations', c.oid::regclass::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   AND (has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE, TRIGGER')
        OR (has_any_column_privilege(c.oid, 'SELECT') AND NOT (c.relkind = 'v' AND c.relname = ANY($1::text[]))))
UNION ALL
SELECT 'makes', 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT 'makes', 'database ' || current_database() WHERE has_database_privilege(current_database(), 'CREATE')`;

/** What a session as the SIP server's role is asked. */
export interface RoleSession {
  /** Runs a statement with its values. */
  ask: AskSql;
  /** What the role may do beyond what it needs. */
  findExcess: () => Promise<Excess>;
  /** PostgreSQL's clock, in milliseconds since 1970. */
  clock: () => Promise<number>;
}

/** Connects as a SIP server does and does `work`. @throws what pg throws */
export const asRole = <T>(address: SqlAddress, work: (session: RoleSession) => Promise<T>): Promise<T> =>
  withSqlGuest(address, (ask) =>
    work({
      ask,
      findExcess: async () => {
        const { rows } = await ask(EXCESS, [[...SIP_VIEWS]]);
        const of = (kind: string): string[] =>
          rows.flatMap(([found, name]) => (found === kind && name !== null && name !== undefined ? [name] : []));
        return { attributes: of('attributes'), relations: of('relations'), makes: of('makes') };
      },
      clock: async () => Number((await ask('SELECT extract(epoch FROM clock_timestamp()) * 1000')).rows[0]?.[0] ?? Number.NaN),
    }),
  );
