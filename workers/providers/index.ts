// Loading providers, and closing their connections. They are loaded only where a job needs them: firebase-admin alone takes half a second.
const opened = new Map<string, () => void | Promise<void>>();

/** Loads a provider's module once and remembers how to close it. */
export async function load<M>(name: string, module: () => Promise<M>, close?: (module: M) => void | Promise<void>): Promise<M> {
  const loaded = await module();
  if (close) opened.set(name, () => close(loaded));
  return loaded;
}

/** Closes what load() has opened. */
export async function closeProviders(): Promise<void> {
  await Promise.all([...opened.values()].map(async (close) => close()));
}
