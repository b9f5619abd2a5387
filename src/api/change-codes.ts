// Email and phone of the own account, changed by a code.
import Joi from 'joi';
import { ok, route, type AnyEndpoint } from '../http/route';
import type { Channel } from '../models/accounts/change-code';
import { redeemChangeCode, requestChangeCode, requireMayRequestCode } from '../services/accounts/change-codes';
import { presentAccount } from './presenters';
import { email, phone, text } from './schemas';
import { shapes, TOO_MANY_SENT, TOO_MANY_WRONG } from './shapes';
import { requireAccountView } from './visible-account';

const WORDS = { email: 'email address', phone: 'phone number' } as const;
const FIELDS = { email: () => email().required(), phone: () => phone().required() } as const;

const endpointsOf = (channel: Channel): AnyEndpoint[] => {
  // Whoever reads the mailbox or the phone of an account is the account: by recovery, or by a token of the email. So is the own password guarded.
  const shared = { access: 'user', scope: '*', group: `Accounts, ${WORDS[channel]}`, method: 'post' } as const;
  return [
    route({
      ...shared,
      path: `/accounts/me/${channel}/request`,
      summary: `Sends a code to a new ${WORDS[channel]}`,
      description: 'Wants a creation token used for the account. The answer comes once the code is sent.',
      before: ({ account_id: id }) => requireMayRequestCode(id),
      body: Joi.object<Record<Channel, string>>({ [channel]: FIELDS[channel]() }),
      answers: {
        200: { description: 'Sent', schema: shapes.empty },
        403: 'Asked too often, or without a creation token',
        429: TOO_MANY_SENT,
        503: 'Not sent (`reason`)',
      },
      handler: async ({ body, caller, client, language }) => {
        await requestChangeCode(channel, {
          account_id: caller.account_id,
          recipient: body[channel],
          language,
          ip: client.ip,
          user_agent: client.user_agent,
        });
        return ok();
      },
    }),
    route({
      ...shared,
      path: `/accounts/me/${channel}`,
      summary: `Confirms a new ${WORDS[channel]} with the code`,
      body: Joi.object<{ code: string }>({
        code: text()
          .pattern(/^\d{4}$/, 'code')
          .required(),
      }),
      answers: {
        200: { description: 'The account', schema: shapes.account },
        403: 'The code is wrong; the fifth time it is void',
        404: 'No code is pending',
        410: 'The code has expired',
        429: TOO_MANY_WRONG,
      },
      handler: async ({ body, caller, client }) => {
        await redeemChangeCode(channel, caller.account_id, body.code, client.ip);
        return ok(presentAccount(await requireAccountView(caller.account_id, caller)));
      },
    }),
  ];
};

export const changeCodes = [...endpointsOf('email'), ...endpointsOf('phone')];
