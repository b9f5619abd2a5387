// Modules that few requests need are loaded by the first that does, so that a start does not pay for them.

import { inBackground } from './context';

/**
 * A function that loads something at its first call and hands the same to all later ones. Calls that come while it is loading wait for the one
 * load; after a failure the next call tries again.
 *
 * @param load gives what is wanted, usually by a dynamic `import()`
 * @throws what `load` throws
 */
export function loadedOnce<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => {
    loading ??= inBackground(load).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
}
