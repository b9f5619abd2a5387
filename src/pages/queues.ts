// /queues: bull-board (board.ts), for super admins. It has no login of its own and its forms carry no CSRF token: sign-in.ts makes up for both.
import { Router, type NextFunction, type Request, type Response } from 'express';
import { clientOf, languageOf } from '../http/client';
import { writeError } from '../http/reply';
import { loadedOnce } from '../infra/lazy';
import { protect } from './sign-in';

/** An app of its own, made and loaded for the first super admin who looks at it. */
const loadBoard = loadedOnce(async () => (await import('./board.js')).createBoard());

/** The dashboard's router, to be mounted at /queues. */
export function dashboard(): Router {
  const router = Router();
  router.use(
    protect({
      base: '/queues',
      access: 'super_admin',
      scope: 'queues:read',
      title: 'page.queues.title',
      lead: 'page.queues.lead',
      wrong: 'page.queues.wrong',
    }),
    async (request, response, next) => {
      // Whose app is another one, which knows no TRUST_PROXY.
      response.locals['client'] = clientOf(request);
      const board = await loadBoard();
      board(request, response, next);
    },
  );
  // What bull-board itself has no answer for.
  router.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    writeError(response, error, languageOf(request)),
  );
  return router;
}
