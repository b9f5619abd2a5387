// Push notifications that the SIP proxy or an app sends through us.
import Joi from 'joi';
import { ok, route } from '../http/route';
import type { PushType } from '../queues/contracts';
import { sendPush } from '../services/messaging/pushes';
import { callId, deviceOf, pushTarget, type PushTarget } from './schemas';
import { shapes } from './shapes';

interface Push extends PushTarget {
  type: PushType;
  call_id?: string;
}

export const pushNotifications = [
  route({
    method: 'post',
    path: '/push_notification',
    access: 'user',
    scope: 'push:send',
    group: 'Push notifications',
    summary: 'Sends a push notification to a device',
    body: Joi.object<Push, true>({
      ...pushTarget,
      type: Joi.string().valid('background', 'message', 'call').empty(null).required() as Joi.StringSchema<PushType>,
      call_id: callId(),
    }).meta({ name: 'PushNotification' }),
    answers: {
      200: { description: 'The push service took it', schema: shapes.empty },
      503: 'Not sent: not configured, refused, device unknown, or no answer in time (`reason`)',
    },
    handler: async ({ body, caller: { account_id, domain } }) => {
      const job = { kind: 'notification', ...deviceOf(body), type: body.type, call_id: body.call_id ?? null, account_id, domain } as const;
      await sendPush(job);
      return ok();
    },
  }),
];
