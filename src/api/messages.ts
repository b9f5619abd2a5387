// Messages that admins send through linphone-daemon.
import Joi from 'joi';
import { ok, route } from '../http/route';
import { sendMessage } from '../services/messaging/sip-messages';
import { messageBody, messageRecipient } from './schemas';
import { shapes } from './shapes';

export const messages = [
  route({
    method: 'post',
    path: '/messages',
    access: 'admin',
    scope: 'messages:send',
    group: 'Messages',
    summary: 'Sends a text message',
    description: 'Line breaks in it become spaces. There is such an endpoint only where `APP_LINPHONE_DAEMON_UNIX_PATH` is set.',
    when: ({ APP_LINPHONE_DAEMON_UNIX_PATH: path }) => path !== undefined,
    body: Joi.object<{ to: string; body: string }, true>({ to: messageRecipient().required(), body: messageBody().required() }).meta({
      name: 'NewMessage',
    }),
    answers: {
      200: { description: 'Sent', schema: shapes.message },
      404: 'Messages are not configured',
      503: 'Not sent: the daemon is not there, or did not answer in time (`reason`)',
    },
    handler: async ({ body: { to: recipient, body }, caller: { account_id, domain } }) =>
      ok({ id: await sendMessage({ recipient, body }, { account_id, domain }) }),
  }),
];
