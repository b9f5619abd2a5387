// What other servers tell this one. No endpoints of the API: their form is the other's, no client calls them, and no key opens them.
import { type Request, type Response, Router } from 'express';
import { settings } from '../../config';
import { languageOf } from '../http/client';
import { readWholeForm } from '../http/form';
import { countStranger } from '../http/stranger';
import { writeError } from '../http/reply';
import { forbidden } from '../infra/errors';
import { isSignedByTwilio, recordTwilioStatus, TWILIO_CALLBACK_PATH } from '../services/messaging/twilio-callbacks';

/** Twilio asks once, and asks from few addresses: what it has signed is not limited. */
async function takeTwilioStatus(request: Request, response: Response): Promise<void> {
  response.locals['route'] = '/hooks/twilio';
  try {
    const takeBack = await countStranger(request, response);
    const fields = await readWholeForm(request, response);
    const at = request.originalUrl.indexOf('?');
    const query = at === -1 ? '' : request.originalUrl.slice(at);
    const signature = request.headers['x-twilio-signature'];
    if (!isSignedByTwilio(typeof signature === 'string' ? signature : undefined, query, fields)) throw forbidden('hook.signature');
    await takeBack();
    await recordTwilioStatus(new URLSearchParams(query).get('send') ?? undefined, fields);
    response.status(204).end();
  } catch (error) {
    writeError(response, error, languageOf(request));
  }
}

/** The router of hooks; there are only those whose service is set. */
export function hooks(): Router {
  const router = Router();
  if (settings.TWILIO_AUTH_TOKEN !== undefined) router.post(TWILIO_CALLBACK_PATH, takeTwilioStatus);
  return router;
}
