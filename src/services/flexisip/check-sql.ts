// Does what Flexisip does in the database, as its user; and sees that this user may do nothing else.
import type { AccountName } from '../../models/accounts/account';
import { asRole, findExamples, type Examples, type Excess, type RoleSession } from '../../models/accounts/sip-credentials';
import { reasonOf } from '../../infra/log';
import { numberNames, parseConnectionString } from './connection-string';
import { counted, quoted, type Step, stepsOf } from './step';

const sql = stepsOf('passwords');

/** What Flexisip knows of the database. */
export interface SqlCheck {
  connection: string;
  request: string;
  /** Whom Flexisip challenges with; passwords of other algorithms are of no use. */
  algorithms: readonly string[];
  /** Whose passwords are hashed with it; undefined: each account's domain. */
  realm?: string | undefined;
  /** With whom the statement is tried; undefined: with accounts that the program's own database shows. */
  account?: AccountName | undefined;
  /** Of which domains the program's own database is asked for examples; null: of all; undefined: it cannot be asked. */
  domains?: readonly string[] | null | undefined;
}

/** What came of it. */
export interface SqlOutcome {
  steps: Step[];
  /** PostgreSQL's clock less ours, in milliseconds. */
  clockMs?: number;
}

const MAX_LISTED = 5;
const listed = (names: readonly string[]): string =>
  names.length > MAX_LISTED ? `${names.slice(0, MAX_LISTED).join(', ')} and ${names.length - MAX_LISTED} more` : names.join(', ');

const ROLE_AGAIN = 'run the statements that bin/flexiapi flexisip:config prints';

function advice(error: unknown): string {
  const code = (error as { code?: string } | undefined)?.code ?? '';
  if (code === '28P01' || code === '28000')
    return `the role or its password is wrong, or pg_hba.conf does not let it in: ${ROLE_AGAIN} (with --role-password they set that one, with --new-role-password a fresh one)`;
  if (code === '3D000') return 'there is no such database: give the one of DATABASE_URL in soci-connection-string (dbname=…)';
  if (code === '42501') return `the role may not read what the statement names: ${ROLE_AGAIN}`;
  if (code === '42P01') return 'the view is not there: bin/flexiapi db:migrate makes it';
  if (code === '25006') return 'the statement writes, and it is to read: take the one that bin/flexiapi flexisip:config prints';
  if (code.startsWith('42')) return "the statement is not PostgreSQL's: take the one that bin/flexiapi flexisip:config prints";
  if (code === '53300') return 'PostgreSQL has no connection left: lower soci-poolsize, or raise max_connections';
  return 'let PostgreSQL be reached from here as soci-connection-string says';
}

/** @returns rows of password and algorithm, or what is wrong with them */
async function passwordsOf({ ask }: RoleSession, { request, realm }: SqlCheck, account: AccountName): Promise<string[][] | string> {
  const { text, names } = numberNames(request);
  const values: Record<string, string> = { id: account.username, domain: realm ?? account.domain, authid: account.username };
  const unknown = names.find((name) => !(name in values));
  if (unknown !== undefined) return `the statement names :${unknown}, and Flexisip knows :id, :domain and :authid alone`;
  if (!names.includes('id')) return 'the statement does not name :id, without which Flexisip takes none';
  const { columns, rows } = await ask(
    text,
    names.map((name) => values[name]),
  );
  if (columns.length !== 2)
    return `the statement gives ${counted(columns.length, 'column')}, and Flexisip wants two: password and algorithm`;
  return rows.map((row) => row.map((value) => value ?? ''));
}

const HASH_DIGITS: Record<string, number> = { MD5: 32, 'SHA-256': 64 };

async function allowedStep(session: RoleSession, check: SqlCheck, account: AccountName): Promise<Step> {
  const name = `the statement, for ${account.username}@${account.domain}`;
  const found = await passwordsOf(session, check, account);
  if (typeof found === 'string') return sql.wrong(name, found, 'take the statement that bin/flexiapi flexisip:config prints');
  if (found.length === 0)
    return sql.wrong(
      name,
      'no password',
      'this account could not register: is it blocked, or not activated, or has it no password? Otherwise take the statement that flexisip:config prints',
    );
  const algorithms = found.map(([, algorithm = '']) => algorithm);
  const odd = found.find(([password = '', algorithm = '']) => algorithm !== 'CLRTXT' && password.length !== HASH_DIGITS[algorithm]);
  if (odd)
    return sql.wrong(
      name,
      `a password of ${quoted(odd[1] ?? '')} that is no hash of it`,
      'columns have to be password, then algorithm (MD5, SHA-256 or CLRTXT)',
    );
  const usable = algorithms.some((algorithm) => algorithm === 'CLRTXT' || check.algorithms.includes(algorithm));
  return usable
    ? sql.ok(name, `${found.length} of ${algorithms.join(', ')}`)
    : sql.wrong(
        name,
        `passwords of ${algorithms.join(', ')}, and available-algorithms is ${check.algorithms.join(' ')}`,
        'set module::Authentication/available-algorithms to «SHA-256 MD5»',
      );
}

async function blockedStep(session: RoleSession, check: SqlCheck, account: AccountName): Promise<Step> {
  const name = `a blocked account, ${account.username}@${account.domain}`;
  const found = await passwordsOf(session, check, account);
  if (typeof found === 'string') return sql.wrong(name, found);
  return found.length === 0
    ? sql.ok(name, 'nothing: it cannot register')
    : sql.wrong(
        name,
        'its passwords are given: it can register',
        'take the statement that bin/flexiapi flexisip:config prints, which asks the view sip_credentials',
      );
}

function excessSteps({ attributes, relations, makes }: Excess): Step[] {
  const steps: Step[] = [];
  if (attributes.length > 0)
    steps.push(
      sql.wrong(
        'the role',
        `is ${attributes.join(', ')}`,
        `whoever reads flexisip.conf could do anything: make a role of its own (${ROLE_AGAIN})`,
      ),
    );
  if (relations.length > 0 && attributes.length === 0)
    steps.push(
      sql.wrong(
        'the role',
        `may read or write more than the views: ${listed(relations)}`,
        `take it away (REVOKE ALL ON … FROM the role, or from PUBLIC), or make a role of its own (${ROLE_AGAIN})`,
      ),
    );
  if (makes.length > 0 && attributes.length === 0)
    steps.push(
      sql.warning(
        'the role',
        `may make things in ${listed(makes)}`,
        'REVOKE CREATE ON SCHEMA public FROM PUBLIC (PostgreSQL before 15 gives it to all); the user of DATABASE_URL needs it itself: GRANT it to that one',
      ),
    );
  return steps.length === 0 ? [sql.ok('the role', 'may read the views and nothing else')] : steps;
}

async function inSession(session: RoleSession, check: SqlCheck, { allowed, blocked }: Examples): Promise<SqlOutcome> {
  const steps: Step[] = [];
  const guarded = async (name: string, work: () => Promise<Step[]>): Promise<void> => {
    try {
      steps.push(...(await work()));
    } catch (error) {
      steps.push(sql.wrong(name, quoted(reasonOf(error)), advice(error)));
    }
  };
  const nobody: AccountName = { username: 'nobody', domain: 'invalid' };
  await guarded('the statement', async () => {
    if (allowed) return [await allowedStep(session, check, allowed)];
    const found = await passwordsOf(session, check, nobody);
    if (typeof found === 'string')
      return [sql.wrong('the statement', found, 'take the statement that bin/flexiapi flexisip:config prints')];
    return [sql.warning('the statement', 'runs, and was tried with nobody who can register', 'try it with one: --account user@domain')];
  });
  await guarded('a blocked account', async () =>
    blocked ? [await blockedStep(session, check, blocked)] : [sql.skipped('a blocked account', 'there is none to try it with')],
  );
  await guarded('the role', async () => excessSteps(await session.findExcess()));
  const before = Date.now();
  const clock = await session.clock().catch(() => Number.NaN);
  // Half of the way there and back.
  const clockMs = clock - (before + Date.now()) / 2;
  return { steps, ...(Number.isNaN(clockMs) ? {} : { clockMs }) };
}

/** Connects as Flexisip's database user and runs its statement. */
export async function checkSql(check: SqlCheck): Promise<SqlOutcome> {
  const parameters = parseConnectionString(check.connection);
  if (!parameters)
    return {
      steps: [sql.wrong('connection', "soci-connection-string is not libpq's", 'write it as dbname=… user=… password=… host=… port=…')],
    };
  const { host, hostaddr, port, user, password, dbname = parameters['db'], sslmode } = parameters;
  if (parameters['db'] !== undefined && parameters['dbname'] === undefined)
    return { steps: [sql.wrong('connection', "soci-connection-string has db=, which is MySQL's", 'PostgreSQL has dbname=')] };
  const examples: Examples = {
    ...(check.domains === undefined ? {} : await findExamples(check.domains)),
    ...(check.account ? { allowed: check.account } : {}),
  };
  const where = `${user ?? ''}@${hostaddr ?? host ?? 'the socket'}/${dbname ?? ''}`;
  try {
    return await asRole(
      { host: hostaddr ?? host, port: port === undefined ? undefined : Number(port), user, password, dbname, sslmode },
      async (session) => {
        const { steps, ...more } = await inSession(session, check, examples);
        return { steps: [sql.ok('connection', where), ...steps], ...more };
      },
    );
  } catch (error) {
    return { steps: [sql.wrong('connection', `${where}: ${quoted(reasonOf(error))}`, advice(error))] };
  }
}
