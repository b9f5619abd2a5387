// A connection whose queries may take longer than any of a request may: for counting a large hour, or dropping a month.
import type { Sequelize } from 'sequelize';
import { settings } from '../config';
import { openDatabase } from '../src/infra/sequelize';

const TEN_MINUTES = 600_000;
let patient: Sequelize | undefined;

export function patientDatabase(): Sequelize {
  return (patient ??= openDatabase({ url: settings.DATABASE_URL ?? '', poolSize: 2, statementTimeoutMs: TEN_MINUTES }));
}

export async function closePatientDatabase(): Promise<void> {
  await patient?.close();
}
