// Actions are codes that a device is sent by DTMF, so an account without a DTMF protocol has none.
import { forbidden, notFound } from '../../infra/errors';
import { Account } from '../../models';
import { visibleTo, type Viewer } from '../../models/visibility';

/** @throws {ApiError} 404 where the viewer sees no such account, 403 where it has no DTMF protocol */
export async function requireDtmfProtocol(viewer: Viewer, accountId: number): Promise<void> {
  const account = await Account.scope(visibleTo(viewer)).findByPk(accountId, { attributes: ['dtmf_protocol'], raw: true });
  if (!account) throw notFound('account.not_found');
  if (account.dtmf_protocol === null) throw forbidden('action.no_protocol');
}
