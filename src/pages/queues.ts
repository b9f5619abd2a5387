// /queues: bull-board, for super admins. It has no login of its own and its forms carry no CSRF token: sign-in.ts makes up for both.
import { Router, type Express, type NextFunction, type Request, type Response } from 'express';
import { settings } from '../../config';
import { withHttp2Support } from '../http/http2';
import { languageOf } from '../http/client';
import { writeError } from '../http/reply';
import { unavailable } from '../infra/errors';
import { loadedOnce } from '../infra/lazy';
import { requireWritable } from '../infra/redis';
import { gateOf } from '../infra/redis-gate';
import { QUEUE_NAMES, queuePrefix } from '../queues/contracts';
import { producerConnection, queueOf } from '../queues/producer';
import { protect } from './sign-in';

const BASE = '/queues';

/** What of a job's data people may see: no device address. */
function redact(data: unknown): unknown {
  const { payload, ...rest } = (data ?? {}) as { payload?: Record<string, unknown> };
  if (!payload) return data;
  return {
    ...rest,
    payload: 'prid' in payload ? { ...payload, prid: payload['prid'] === null ? null : '(hidden)', ip: undefined } : payload,
  };
}

/** bull-board waits for Redis as long as it takes. @throws {ApiError} 503 where that would be in vain */
async function requireQueues(): Promise<void> {
  const [connection, keys] = [producerConnection(), QUEUE_NAMES.map(queuePrefix)];
  try {
    await gateOf(connection).ask(keys[0] ?? '', () => requireWritable(connection, keys));
  } catch (error) {
    throw unavailable('server.queue', {}, { cause: error, headers: { 'retry-after': '5' } });
  }
}

/** bull-board over all queues: an app of its own, made and loaded for the first super admin who looks at it. */
const loadBoard = loadedOnce(async () => {
  const [{ createBullBoard }, { BullMQAdapter }, { ExpressAdapter }] = await Promise.all([
    import('@bull-board/api'),
    import('@bull-board/api/bullMQAdapter'),
    import('@bull-board/express'),
  ]);
  const server = new ExpressAdapter();
  server.setBasePath(BASE);
  const adapters = QUEUE_NAMES.map((name) => {
    const adapter = new BullMQAdapter(queueOf(name));
    adapter.setFormatter('data', redact);
    return adapter;
  });
  createBullBoard({
    queues: adapters,
    serverAdapter: server,
    options: { uiConfig: { boardTitle: `${settings.APP_NAME} queues`, hideRedisDetails: true } },
  });
  return withHttp2Support(server.getRouter() as Express);
});

/** The dashboard's router, to be mounted at /queues. */
export function dashboard(): Router {
  const router = Router();
  router.use(
    protect({
      base: BASE,
      access: 'super_admin',
      title: 'page.queues.title',
      lead: 'page.queues.lead',
      wrong: 'page.queues.wrong',
    }),
    async (request, response, next) => {
      if (request.path.startsWith('/api/')) await requireQueues();
      const board = await loadBoard();
      board(request, response, next);
    },
  );
  // bull-board's own failures, such as a Redis that does not answer.
  router.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    writeError(response, error, languageOf(request)),
  );
  return router;
}
