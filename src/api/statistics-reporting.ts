// What the SIP proxy reports of messages and calls. It ignores the answers and repeats nothing, so these endpoints know no rate limit by
// account: a 429 would lose the event for ever.
import Joi from 'joi';
import { badRequest, notFound } from '../infra/errors';
import { created, ok, route, type Call, type Reply } from '../http/route';
import type { SipAddress } from '../infra/sip-uri';
import { callDeviceReports, callEndReports, callReports, messageDeviceReports, messageReports } from '../services/statistics/reports';
import { presentCall, presentCallDevice, presentMessageDevice } from './presenters';
import { boolean, integer, isoDate, sipAddress, text } from './schemas';
import { shapes } from './shapes';

interface MessageBody {
  id: string;
  from: SipAddress;
  sent_at: Date;
  encrypted: boolean;
  conference_id?: string;
}
interface MessageDeviceBody {
  last_status: number;
  received_at: Date;
}
interface CallBody {
  id: string;
  from: SipAddress;
  to: SipAddress;
  initiated_at: Date;
  ended_at?: Date;
  conference_id?: string;
}
interface CallDeviceBody {
  rang_at?: Date;
  invite_terminated?: { at?: Date; state?: string };
}

const id = (): Joi.StringSchema => text(64).required();
const shared = { access: 'admin', scope: 'statistics:write', group: 'Statistics', unlimited: true } as const;

const fromOf = ({ username, domain }: SipAddress): { from_username: string; from_domain: string } => ({
  from_username: username,
  from_domain: domain,
});
const toOf = ({ username, domain }: SipAddress): { to_username: string; to_domain: string } => ({
  to_username: username,
  to_domain: domain,
});

async function reportMessage({ body }: Call<string, MessageBody, 'admin'>): Promise<Reply> {
  const { id: messageId, from, sent_at, encrypted, conference_id = null } = body;
  const report = { id: messageId, ...fromOf(from), sent_at, encrypted, conference_id };
  if (!(await messageReports.submit(report))) throw badRequest('statistics.message_exists');
  return ok();
}

async function reportCall({ body }: Call<string, CallBody, 'admin'>): Promise<Reply> {
  const { id: callId, from, to, initiated_at, ended_at = null, conference_id = null } = body;
  const report = { id: callId, ...fromOf(from), ...toOf(to), initiated_at, ended_at, conference_id };
  if (!(await callReports.submit(report))) throw badRequest('statistics.call_exists');
  return ok();
}

/** 201 for the report that made the row, 200 for those that changed it. */
const replyStored = <Row extends { created: boolean }>(row: Row, present: (row: Row) => unknown): Reply =>
  (row.created ? created : ok)(present(row));

export const statisticsReporting = [
  route({
    ...shared,
    method: 'post',
    path: '/statistics/messages',
    summary: 'Reports that a message was sent',
    body: Joi.object<MessageBody, true>({
      id: id(),
      from: sipAddress().required(),
      sent_at: isoDate().required(),
      encrypted: boolean().required(),
      conference_id: text(),
    }).meta({ name: 'MessageReport' }),
    answers: { 200: { description: 'Stored', schema: shapes.empty }, 400: 'A message with this id was already reported' },
    handler: reportMessage,
  }),
  route({
    ...shared,
    method: 'patch',
    path: '/statistics/messages/:message_id/to/:to/devices/:device_id',
    summary: "Reports a device's answer to a message",
    params: Joi.object({ message_id: id(), to: sipAddress().required(), device_id: text().required() }),
    body: Joi.object<MessageDeviceBody, true>({ last_status: integer().required(), received_at: isoDate().required() }).meta({
      name: 'MessageDeviceReport',
    }),
    answers: {
      200: { description: 'Changed', schema: shapes.messageDevice },
      201: { description: 'Stored', schema: shapes.messageDevice },
      400: 'No message with this id was reported',
    },
    handler: async ({ params, body }) => {
      // The schema made an address of the parameter.
      const to = params.to as unknown as SipAddress;
      const stored = await messageDeviceReports.submit({
        message_id: params.message_id,
        ...toOf(to),
        device_id: params.device_id,
        ...body,
      });
      if (!stored) throw badRequest('statistics.message_unknown');
      return replyStored(stored, presentMessageDevice);
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/statistics/calls',
    summary: 'Reports that a call was started',
    body: Joi.object<CallBody, true>({
      id: id(),
      from: sipAddress().required(),
      to: sipAddress().required(),
      initiated_at: isoDate().required(),
      ended_at: isoDate(),
      conference_id: text(),
    }).meta({ name: 'CallReport' }),
    answers: { 200: { description: 'Stored', schema: shapes.empty }, 400: 'A call with this id was already reported' },
    handler: reportCall,
  }),
  route({
    ...shared,
    method: 'patch',
    path: '/statistics/calls/:call_id/devices/:device_id',
    summary: 'Reports that a device rang, or how its invitation ended',
    description: 'Changes only the fields that it carries. `at` and `state` go together.',
    params: Joi.object({ call_id: id(), device_id: text().required() }),
    body: Joi.object<CallDeviceBody, true>({
      rang_at: isoDate(),
      invite_terminated: Joi.object({ at: isoDate(), state: text() }).and('at', 'state').empty(null),
    }).meta({ name: 'CallDeviceReport' }),
    answers: {
      200: { description: 'Changed', schema: shapes.callDevice },
      201: { description: 'Stored', schema: shapes.callDevice },
      400: 'No call with this id was reported',
    },
    handler: async ({ params, body }) => {
      const stored = await callDeviceReports.submit({
        call_id: params.call_id,
        device_id: params.device_id,
        rang_at: body.rang_at ?? null,
        invite_terminated_at: body.invite_terminated?.at ?? null,
        invite_terminated_state: body.invite_terminated?.state ?? null,
      });
      if (!stored) throw badRequest('statistics.call_unknown');
      return replyStored(stored, presentCallDevice);
    },
  }),
  route({
    ...shared,
    method: 'patch',
    path: '/statistics/calls/:call_id',
    summary: 'Reports that a call ended',
    params: Joi.object({ call_id: id() }),
    body: Joi.object<{ ended_at: Date }, true>({ ended_at: isoDate().required() }).meta({ name: 'CallEndReport' }),
    answers: { 200: { description: 'Stored', schema: shapes.call }, 404: 'No call with this id was reported' },
    handler: async ({ params, body }) => {
      const row = await callEndReports.submit({ id: params.call_id, ended_at: body.ended_at });
      if (!row) throw notFound('statistics.call_unknown');
      return ok(presentCall(row));
    },
  }),
];
