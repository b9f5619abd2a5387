// /provisioning: where a Linphone app fetches its settings. Not under /api: XML, and errors as JSON.
import { Router, type Request, type Response } from 'express';
import { settings } from '../../config';
import { badRequest, notFound } from '../infra/errors';
import { clientOf, hostOf, languageOf } from '../http/client';
import { identifyCaller } from '../http/identification';
import { tellDelivery, writeBytes, writeError } from '../http/reply';
import { countStranger } from '../http/stranger';
import { redeemAuthToken } from '../services/credentials/auth-tokens';
import type { Delivery } from '../services/credentials/deliveries';
import { provisioningDocument } from '../services/provisioning/document';
import { isProvisioningTokenUsable, redeemProvisioningToken } from '../services/provisioning/provisioning-tokens';

const QR_CODE_WIDTH_PIXELS = 300;

/** Apps send it; a person who opens the address in a browser, or a preview that follows it, must not use the token up. */
function requireHeader(request: Request): void {
  if (!settings.ACCOUNT_PROVISIONING_USE_X_LINPHONE_PROVISIONING_HEADER) return;
  if (request.headers['x-linphone-provisioning'] === undefined) throw badRequest('provisioning.header');
}

const sendDocument = (response: Response, document: string): void => writeBytes(response, 200, 'application/xml', document);

/** A document that is given once. */
function deliver(response: Response, { value, settle }: Delivery<string>): void {
  tellDelivery(response, settle);
  sendDocument(response, value);
}

type Work = (request: Request, response: Response) => Promise<void>;

const whoOf = (request: Request): { ip: string; host: string } => ({ ip: clientOf(request).ip, host: hostOf(request) });

const param = (request: Request, name: string): string => String(request.params[name]);

async function general(request: Request, response: Response): Promise<void> {
  requireHeader(request);
  sendDocument(response, await provisioningDocument(null));
}

async function own(request: Request, response: Response): Promise<void> {
  const caller = await identifyCaller({ access: 'user', scope: '*', changes: false }, request, response);
  requireHeader(request);
  sendDocument(response, await provisioningDocument(caller.account_id));
}

async function byAuthToken(request: Request, response: Response): Promise<void> {
  const token = param(request, 'auth_token');
  const delivery = await redeemAuthToken('auth_token_provisioning', token, whoOf(request), provisioningDocument);
  if (delivery === null) throw notFound('auth_token.invalid');
  deliver(response, delivery);
}

async function qrCode(request: Request, response: Response): Promise<void> {
  const token = param(request, 'token');
  if (!(await isProvisioningTokenUsable(token, hostOf(request)))) throw notFound('provisioning.invalid');
  const url = `${settings.APP_URL}/provisioning/${token}`;
  // Loaded when first asked for.
  const { default: QRCode } = await import('qrcode');
  const image = await QRCode.toBuffer(url, { type: 'png', errorCorrectionLevel: 'H', width: QR_CODE_WIDTH_PIXELS });
  writeBytes(response, 200, 'image/png', image, { 'x-qrcode-url': url });
}

async function byToken(request: Request, response: Response): Promise<void> {
  requireHeader(request);
  deliver(response, await redeemProvisioningToken(param(request, 'token'), whoOf(request), request.query['reset_password'] !== undefined));
}

/** To be mounted at /provisioning. `HEAD` would use a token up for nothing: it is not answered. */
export function provisioning(): Router {
  const router = Router({ caseSensitive: true });
  const limited =
    (path: string, work: Work): Work =>
    async (request, response) => {
      response.locals['route'] = `/provisioning${path}`;
      try {
        if (work !== own) await countStranger(request, response);
        await work(request, response);
      } catch (error) {
        writeError(response, error, languageOf(request));
      }
    };
  const get = (path: string, work: Work): void => {
    router.get(path, (request, response, next) => (request.method === 'HEAD' ? next() : void limited(path, work)(request, response)));
  };
  get('/', general);
  get('/me', own);
  get('/auth_token/:auth_token', byAuthToken);
  get('/qrcode/:token', qrCode);
  get('/:token', byToken);
  return router;
}
