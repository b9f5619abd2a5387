// Long lists, read page by page: each page is one statement of its own, so that no connection to PostgreSQL is held while a reader takes its time.

import { type Model, type ModelStatic, Op, type WhereOptions } from 'sequelize';

/** Rows of a page where they are small. */
const ROWS_PER_PAGE = 200;

/** A list, a page after another; the last one may be empty. */
export type Pages<Row> = AsyncGenerator<Row[], void, undefined>;

/**
 * Pages of a list that is ordered by its rows' ids. A list of less than a page is one statement.
 *
 * @param read the rows behind the one with the id `after`, by id, at most `limit`
 */
export async function* pagesById<Row extends { id: number }>(
  read: (after: number, limit: number) => Promise<Row[]>,
  limit = ROWS_PER_PAGE,
): Pages<Row> {
  for (let after = 0; ;) {
    const rows = await read(after, limit);
    const isLast = rows.length < limit;
    after = rows.at(-1)?.id ?? after;
    yield rows;
    if (isLast) return;
  }
}

/** Pages of a model's rows that fulfil a condition. @param model with its scope: `ContactsList.scope(visibleTo(viewer))` */
export const pagesOf = <M extends Model & { id: number }>(model: ModelStatic<M>, where: WhereOptions = {}): Pages<M> =>
  pagesById((after, limit) =>
    model.findAll({ where: { [Op.and]: [where, { id: { [Op.gt]: after } }] } as WhereOptions, order: [['id', 'ASC']], limit }),
  );
