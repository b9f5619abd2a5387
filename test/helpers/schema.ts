// The schema as the release before has to live with it: what a migration may not do to it (docs/decisions.md#expand-then-contract).
import type pg from 'pg';

interface Column {
  type: string;
  isRequired: boolean;
  isFilled: boolean;
}
export interface Schema {
  /** `table.column`. */
  columns: Map<string, Column>;
  /** `table: definition`, of what can refuse a row. */
  rules: Set<string>;
}

/** Reads the tables of a database, months of statistics left out. */
export async function readSchema(client: pg.Client | pg.Pool): Promise<Schema> {
  const tables = "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
  const columns = await client.query<{ name: string; type: string; required: boolean; filled: boolean }>(
    `SELECT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
            a.atthasdef OR a.attidentity <> '' AS filled
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE ${tables} AND a.attnum > 0 AND NOT a.attisdropped`,
  );
  const rules = await client.query<{ rule: string }>(
    `SELECT c.relname || ': ' || pg_get_constraintdef(k.oid) AS rule FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
      WHERE ${tables} AND k.contype IN ('c', 'f', 'p', 'u', 'x')
     UNION SELECT c.relname || ': unique ' || pg_get_indexdef(i.indexrelid) FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
      WHERE ${tables} AND i.indisunique AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)`,
  );
  return {
    columns: new Map(columns.rows.map(({ name, type, required, filled }) => [name, { type, isRequired: required, isFilled: filled }])),
    rules: new Set(rules.rows.map(({ rule }) => rule)),
  };
}

const WHOLE_NUMBERS = ['smallint', 'integer', 'bigint', 'numeric'];
/** Digits of a second. */
const precisionOf = (type: string): number => {
  const [, digits = '6'] = /^timestamp(?:\((\d)\))? with time zone$/.exec(type) ?? [];
  return type.startsWith('timestamp') ? Number(digits) : NaN;
};
const lengthOf = (type: string): number => (type === 'text' ? Infinity : Number(/^character varying\((\d+)\)$/.exec(type)?.[1] ?? NaN));

/** Whether every value of the one type is one of the other. */
function holds(wider: string, type: string): boolean {
  if (wider === type || lengthOf(wider) >= lengthOf(type) || precisionOf(wider) >= precisionOf(type)) return true;
  const [from, to] = [WHOLE_NUMBERS.indexOf(type), WHOLE_NUMBERS.indexOf(wider)];
  return from >= 0 && to >= from;
}

const tableOf = (name: string): string => name.split(/[.:]/)[0] ?? '';

/** What the release before would stumble over. */
export function faultsBetween(before: Schema, after: Schema): string[] {
  const old = new Set([...before.columns.keys()].map(tableOf));
  const faults: string[] = [];
  for (const [name, was] of before.columns) {
    const is = after.columns.get(name);
    if (!is) faults.push(`${name} is gone`);
    else if (!holds(is.type, was.type)) faults.push(`${name} was ${was.type} and is ${is.type}`);
    else if (is.isRequired && !was.isRequired) faults.push(`${name} is required`);
    else if (was.isFilled && !is.isFilled) faults.push(`${name} has no default any more`);
  }
  for (const [name, { isRequired, isFilled }] of after.columns)
    if (old.has(tableOf(name)) && !before.columns.has(name) && isRequired && !isFilled)
      faults.push(`${name} is new, required, and has no default`);
  for (const rule of after.rules) if (old.has(tableOf(rule)) && !before.rules.has(rule)) faults.push(`a new rule: ${rule}`);
  return faults;
}
