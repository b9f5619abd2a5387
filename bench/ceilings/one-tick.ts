// Requests of one turn of the event loop share a statement.

/**
 * @param find asks for the rows of many keys with one statement
 * @returns asks for one: what was asked for in the same turn goes together, each key once
 */
export function oneTick<Key, Row>(find: (keys: Key[]) => Promise<Map<Key, Row>>): (key: Key) => Promise<Row | undefined> {
  let waiting: { keys: Set<Key>; rows: Promise<Map<Key, Row>> } | undefined;
  const begin = (): { keys: Set<Key>; rows: Promise<Map<Key, Row>> } => {
    const keys = new Set<Key>();
    const rows = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      waiting = undefined;
      return find([...keys]);
    });
    return { keys, rows };
  };
  return async (key) => {
    waiting ??= begin();
    waiting.keys.add(key);
    return (await waiting.rows).get(key);
  };
}
