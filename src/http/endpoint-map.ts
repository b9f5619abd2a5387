// Which endpoint a path means: a tree with a step for each segment, so that finding one costs as many look-ups as its path has segments, however many
// endpoints there are.
import type { AnyEndpoint } from './route';

/** What stands at the end of a path: one row a method. */
interface Node<Row> {
  /** By the segment's text. */
  named: Map<string, Node<Row>>;
  /** Where the segment is a parameter. */
  parameter?: Node<Row>;
  /** Under the path that was declared, by method in capitals. */
  rows: Map<string, { row: Row; names: readonly string[] }>;
}

/** An endpoint that was found, and what its parameters are: as they came, percent-encoded. */
interface Found<Row> {
  row: Row;
  names: readonly string[];
  values: readonly string[];
}

const newNode = <Row>(): Node<Row> => ({ named: new Map(), rows: new Map() });

/**
 * Segments of a path, without the slash that may stand at its end. A path of endpoints has whole segments as parameters, and nothing else of what
 * path-to-regexp knows.
 */
const segmentsOf = (path: string): string[] => (path.length > 1 && path.endsWith('/') ? path.slice(1, -1) : path.slice(1)).split('/');

/** The parameters of an endpoint, decoded; undefined for a percent sign without two hexadecimal digits, and for what is no UTF-8. */
export function decodeParameters(names: readonly string[], values: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  try {
    for (const [index, name] of names.entries()) parameters[name] = decodeURIComponent(values[index] ?? '');
    return parameters;
  } catch {
    return undefined;
  }
}

export class EndpointMap<Row> {
  readonly #root = newNode<Row>();

  /** @throws {Error} where the method has the path already, or a parameter is only a part of a segment */
  add({ method, path }: Pick<AnyEndpoint, 'method' | 'path'>, row: Row): void {
    const names: string[] = [];
    let node = this.#root;
    for (const segment of segmentsOf(path)) {
      if (/^:\w+$/.test(segment)) {
        names.push(segment.slice(1));
        node = node.parameter ??= newNode();
        continue;
      }
      if (!/^[\w.~-]+$/.test(segment)) throw new Error(`${path}: a segment is text, or a parameter as a whole`);
      let next = node.named.get(segment);
      if (!next) node.named.set(segment, (next = newNode()));
      node = next;
    }
    const key = method.toUpperCase();
    if (node.rows.has(key)) throw new Error(`${key} ${path} is declared twice`);
    node.rows.set(key, { row, names });
  }

  /** The endpoint of a method and a path; a segment's own text goes before a parameter. */
  find(method: string, path: string): Found<Row> | undefined {
    let found: Found<Row> | undefined;
    this.#walk(path, ({ rows }, values) => {
      const end = rows.get(method);
      if (end) found = { ...end, values };
      return end !== undefined;
    });
    return found;
  }

  /** All endpoints of the path that is meant, whatever their methods. */
  findAll(path: string): Found<Row>[] {
    let found: Found<Row>[] = [];
    this.#walk(path, ({ rows }, values) => {
      found = [...rows.values()].map((end) => ({ ...end, values }));
      return found.length > 0;
    });
    return found;
  }

  /** Goes to all ends of a path until one is taken. */
  #walk(path: string, take: (node: Node<Row>, values: readonly string[]) => boolean): void {
    const segments = segmentsOf(path);
    const values: string[] = [];
    const step = (node: Node<Row>, depth: number): boolean => {
      const segment = segments[depth];
      if (segment === undefined) return take(node, values);
      const named = node.named.get(segment);
      if (named && step(named, depth + 1)) return true;
      if (!node.parameter || segment === '') return false;
      values.push(segment);
      if (step(node.parameter, depth + 1)) return true;
      values.pop();
      return false;
    };
    step(this.#root, 0);
  }
}
