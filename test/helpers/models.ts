// The models in the test's own process, speaking to the database of a system.
import type { System } from './system';

export interface Models {
  models: typeof import('../../src/models');
  visibility: typeof import('../../src/models/visibility');
  database: typeof import('../../src/infra/database');
  /** Closes their connections. */
  close: () => Promise<void>;
}

/** Settings are read once, with the first module that wants them: modules are loaded anew with the system's environment. */
export async function loadModels(system: System): Promise<Models> {
  Object.assign(process.env, system.environment);
  jest.resetModules();
  const models = await import('../../src/models/index.js');
  const visibility = await import('../../src/models/visibility.js');
  const database = await import('../../src/infra/database.js');
  return { models, visibility, database, close: database.closeDatabase };
}
