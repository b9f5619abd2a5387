// What the statements that store many reports at once have in common.

/**
 * The columns of several rows, as the arguments of unnest().
 *
 * @param names which attributes, in the order of the statement's parameters
 * @returns an array for each name, with one value for each row
 */
export const columnsOf = <Row, Name extends keyof Row>(rows: readonly Row[], names: readonly Name[]): Row[Name][][] =>
  names.map((name) => rows.map((row) => row[name]));

/** SQL: the beginning of the hour of UTC that the column lies in. */
export const hourOf = (column: string): string => `date_trunc('hour', ${column}, 'UTC')`;

/** The domain under which all domains together are counted: no address has it. */
export const ALL_DOMAINS = '';

/** SQL: begins the part of a statement that marks hours to be counted again; a SELECT of (kind, hour, domain) follows. */
export const INSERT_MARKS = 'INSERT INTO statistics_dirty_buckets (kind, hour, domain)';
