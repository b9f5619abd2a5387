// Scripts and stylesheets of pages, under names that change with what is in them: a page never gets another version's script, and nothing that
// was fetched once is ever asked for again.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Router, type Request, type Response } from 'express';
import { documentationScript } from './documentation-script';
import { stylesheet } from './page-style';
import { queuesBaseScript } from './queues-script';
import { queuesStyle } from './queues-style';
import { sendsStyle } from './sends-style';
import { statisticsStyle } from './statistics-style';

const BASE = '/assets';
const HASH_CHARACTERS = 16;

const swaggerUi = (file: string): Buffer => readFileSync(path.join(path.dirname(require.resolve('swagger-ui-dist/package.json')), file));

/** What each file holds, by the name without its hash. */
const SOURCES = {
  'page.css': () => stylesheet,
  'statistics.css': () => statisticsStyle,
  // Compiled beside this file's own folder.
  'statistics.js': () => readFileSync(path.join(__dirname, '..', '..', 'browser', 'statistics.js')),
  'sends.css': () => sendsStyle,
  'sends.js': () => readFileSync(path.join(__dirname, '..', '..', 'browser', 'sends.js')),
  'chart.js': () => readFileSync(path.join(path.dirname(require.resolve('chart.js')), 'chart.umd.min.js')),
  'documentation.js': () => documentationScript,
  'queues-base.js': () => queuesBaseScript,
  'queues.css': () => queuesStyle,
  'swagger-ui.css': () => swaggerUi('swagger-ui.css'),
  'swagger-ui-bundle.js': () => swaggerUi('swagger-ui-bundle.js'),
} satisfies Record<string, () => string | Buffer>;

export type AssetName = keyof typeof SOURCES;

interface Asset {
  content: Buffer;
  /** Its name with 16 digits of the hash before the extension. */
  file: string;
}
const loaded = new Map<AssetName, Asset>();

/** Read and hashed for the first page that needs it. */
function load(name: AssetName): Asset {
  const known = loaded.get(name);
  if (known) return known;
  const content = Buffer.from(SOURCES[name]());
  const hash = createHash('sha256').update(content).digest('hex').slice(0, HASH_CHARACTERS);
  const { name: stem, ext } = path.parse(name);
  const asset = { content, file: `${stem}.${hash}${ext}` };
  loaded.set(name, asset);
  return asset;
}

/** The path of a file, which a page names from its own address (root.ts). */
export const assetUrl = (name: AssetName): string => `${BASE}/${load(name).file}`;

const isAsset = (name: string): name is AssetName => Object.hasOwn(SOURCES, name);

/**
 * To be mounted at the root. A name with another hash is 404, which nobody caches: it is of another version's page, which another process behind the
 * same balancer may have made, and what is here would not suit it.
 */
export function assets(): Router {
  const router = Router({ caseSensitive: true });
  router.get(`${BASE}/:file`, (request: Request<{ file: string }>, response: Response, next) => {
    const { file } = request.params;
    const pieces = file.split('.');
    const name = [...pieces.slice(0, -2), ...pieces.slice(-1)].join('.');
    if (!isAsset(name) || load(name).file !== file) {
      next();
      return;
    }
    response.setHeader('cache-control', 'public, max-age=31536000, immutable');
    response.type(path.extname(name)).send(load(name).content);
  });
  return router;
}
