// A program of an app's developers: it knows the API by the types that openapi-typescript makes of /api/openapi.json (`./api`), and by nothing else.
import createClient from 'openapi-fetch';
import type { components, paths } from './api';

type Space = components['schemas']['Space'];
type Account = components['schemas']['Account'];

const { BASE_URL = '', API_KEY = '' } = process.env;
const client = createClient<paths>({ baseUrl: BASE_URL, headers: { 'x-api-key': API_KEY } });

/** What an answer must have. @throws with the server's words */
function taken<Data>({ data, error }: { data?: Data; error?: { message: string } }): Data {
  if (data === undefined) throw new Error(error?.message ?? 'no answer');
  return data;
}

async function main(): Promise<void> {
  const domain = 'typed.example.org';
  const made: Space = taken(await client.POST('/spaces', { body: { domain, super: false, expire_at: null } }));
  const read: Space = taken(await client.GET('/spaces/{domain}', { params: { path: { domain } } }));
  const put: Space = taken(await client.PUT('/spaces/{domain}', { params: { path: { domain } }, body: read }));

  const body = { username: 'typed-client', password: 'password', algorithm: 'SHA-256', domain, activated: true, email: null } as const;
  const { id, confirmation_key: confirmationKey } = taken(await client.POST('/accounts', { body }));
  const account: Account = taken(await client.GET('/accounts/{id}', { params: { path: { id } } }));
  taken(await client.POST('/accounts/{id}/block', { params: { path: { id } } }));
  const page = taken(await client.GET('/accounts', { params: { query: { page: 1 } } }));

  const call = {
    id: 'typed',
    from: `a@${domain}`,
    to: `b@${domain}`,
    initiated_at: new Date().toISOString(),
    ended_at: null,
    conference_id: null,
  };
  taken(await client.POST('/statistics/calls', { body: call }));
  const path = { call_id: call.id, device_id: '"<urn:uuid:1>"' };
  const device = taken(
    await client.PATCH('/statistics/calls/{call_id}/devices/{device_id}', { params: { path }, body: { invite_terminated: {} } }),
  );
  const push = await client.POST('/push_notification', { body: { pn_provider: 'fcm', pn_prid: null, type: 'background', call_id: null } });
  const refused = await client.POST('/accounts', { body: { ...body, username: 'no' } });
  const pong = taken(await client.GET('/ping', { parseAs: 'text' }));

  process.stdout.write(
    JSON.stringify({
      expires: [made.expire_at, put.expire_at],
      account: [
        account.username,
        account.activation_expiration?.expires ?? null,
        account.email_change_code?.email ?? null,
        confirmationKey,
      ],
      total: page.total,
      device: device.rang_at,
      push: push.response.status,
      refused: refused.error?.errors?.['username'],
      pong,
    }),
  );
}

void main();
