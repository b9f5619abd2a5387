// /queues: bull-board, for super admins. It has no login and no CSRF token (pitfalls B8.68): sign-in.ts makes up for that.
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Router, type Express, type NextFunction, type Request, type Response } from 'express';
import { settings } from '../../config';
import { withHttp2Support } from '../http/http2';
import { languageOf } from '../http/client';
import { writeError } from '../http/reply';
import { QUEUE_NAMES } from '../queues/contracts';
import { queueOf } from '../queues/producer';
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

/** The dashboard's router, to be mounted at /queues. */
export function dashboard(): Router {
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
  const router = Router();
  router.use(
    protect({
      base: BASE,
      access: 'super_admin',
      title: 'page.queues.title',
      lead: 'page.queues.lead',
      wrong: 'page.queues.wrong',
    }),
    withHttp2Support(server.getRouter() as Express),
  );
  // bull-board's own failures, Redis away among them.
  router.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    writeError(response, error, languageOf(request)),
  );
  return router;
}
