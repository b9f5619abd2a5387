// Devices of an account, as the registrar knows them.
import { notFound } from '../infra/errors';
import { ok, route, type AnyEndpoint, type Caller, pathText } from '../http/route';
import { deleteDevice, findDevices } from '../services/devices/devices';
import type { SipAddress } from '../infra/sip-uri';
import { presentDevice } from './presenters';
import { requireAccount } from './visible-account';
import { shapes } from './shapes';

/** The same two for the caller's own account and for one that is named. */
function endpointsOf(whose: 'me' | ':id'): AnyEndpoint[] {
  const of = whose === 'me' ? 'the own account' : 'an account';
  const shared = { access: whose === 'me' ? 'user' : 'admin', group: 'Accounts devices' } as const;
  const base = `/accounts/${whose}/devices` as const;
  const accountOf = async (caller: Caller, params: Record<string, string>): Promise<SipAddress> =>
    whose === 'me' ? caller : requireAccount(params['id'] ?? '', caller);
  const unavailable = 'The registrar does not answer, or is not configured';
  return [
    route({
      ...shared,
      method: 'get',
      changes: false,
      path: base,
      scope: 'accounts:read',
      summary: `Lists the registered devices of ${of}`,
      answers: { 200: { description: 'Devices by uuid', schema: shapes.devices }, 404: 'No such account', 503: unavailable },
      handler: async ({ caller, params }) => {
        const devices = await findDevices(await accountOf(caller, params));
        return ok(Object.fromEntries(devices.map((device) => [device.uuid, presentDevice(device)])));
      },
    }),
    route({
      ...shared,
      method: 'delete',
      path: `${base}/:uuid`,
      scope: 'accounts:write',
      summary: `Removes a device of ${of} from the registrar`,
      answers: { 200: { description: 'Removed', schema: shapes.empty }, 404: 'No such account or device', 503: unavailable },
      handler: async ({ caller, params }) => {
        if (!(await deleteDevice(await accountOf(caller, params), pathText(params.uuid)))) throw notFound('device.not_found');
        return ok();
      },
    }),
  ];
}

export const devices = [...endpointsOf('me'), ...endpointsOf(':id')];
