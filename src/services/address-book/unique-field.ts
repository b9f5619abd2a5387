// A value that another row has: the database says so, also of writes at the same moment.
import { violatedConstraint } from '../../infra/database';
import { unprocessable } from '../../infra/errors';

/** Runs a write and gives what it gives. @throws {ApiError} 422 under `field` where the write breaks the unique `constraint` */
export async function uniqueField<T>(constraint: string, field: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (violatedConstraint(error) !== constraint) throw error;
    throw unprocessable({ [field]: [{ key: 'field.taken', values: { attribute: field } }] });
  }
}
