// Connection strings of libpq, which SOCI hands on as they are: `dbname=… user=… password='…'`
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE).

/** What a connection string says; SOCI knows `singlerow` and `singlerows` besides, which are not libpq's. */
export type ConnectionParameters = Record<string, string>;

const quoted = (value: string): string => (/^[\w./:@+-]+$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`);

/** Writes a connection string; what is undefined is left out. */
export const connectionString = (parameters: Record<string, string | undefined>): string =>
  Object.entries(parameters)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quoted(value)}`]))
    .join(' ');

const PAIR = /\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)(?=\s|$)/sy;

/** Reads one. @returns null for what libpq would not understand */
export function parseConnectionString(text: string): ConnectionParameters | null {
  const parameters: ConnectionParameters = {};
  PAIR.lastIndex = 0;
  while (text.slice(PAIR.lastIndex).trim() !== '') {
    const match = PAIR.exec(text);
    if (!match) return null;
    const [, name = '', value = ''] = match;
    parameters[name] = (value.startsWith("'") ? value.slice(1, -1) : value).replace(/\\(.)/gs, '$1');
  }
  return parameters;
}

/** A statement with SOCI's names in it, as PostgreSQL takes it. */
export interface NumberedStatement {
  text: string;
  /** The name of `$1`, of `$2`, …: each occurrence has a number of its own. */
  names: string[];
}

const PIECE = /'[^']*'|"[^"]*"|::|:=|:([A-Za-z0-9_]+)|[^'":]+|./gs;

/** Numbers `:id` and its like as SOCI does for PostgreSQL: not in quotes, and `::` is a cast. */
export function numberNames(statement: string): NumberedStatement {
  const names: string[] = [];
  const text = statement.replace(PIECE, (piece: string, name: string | undefined) => {
    if (name === undefined) return piece;
    names.push(name);
    return `$${names.length}`;
  });
  return { text, names };
}
