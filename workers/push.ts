// The queue `push`: whether a device may be sent a token is decided here, and what is sent is sent from here.
import { settings } from '../config';
import type { PushDevice, PushResult } from '../src/queues/contracts';
import { decideOnDevice, deleteUnsent, markSent } from '../src/services/tokens/creation-tokens';
import type { Job } from './job';
import { load } from './providers';
import { deliver } from './providers/delivery';
import { apnsPush, apnsTopic, fcmPush, type PushContent } from './push-content';

type Send = (content: PushContent) => Promise<PushResult>;

/** For the whole of a push that no request waits for. */
const SEND_TIMEOUT_MS = 30_000;
/** What must be left once a send is done: for its result's way to the asker, and for recording it. */
const RECORD_MARGIN_MS = 250;

/** How a device is reached, or why it cannot be: decided before anything is written. */
function sendTo(device: PushDevice, type: PushContent['type'], timeLeft: () => number): Send | PushResult {
  const left = (): number => timeLeft() - RECORD_MARGIN_MS;
  if (device.prid === null || device.prid.split(':')[0] === '') return { outcome: 'no_device', reason: 'pn_prid is missing' };
  const recipient = device.prid;
  if (device.provider === 'fcm') {
    // pn_param picks the project; a single one serves all.
    const accounts = settings.FIREBASE_SERVICE_ACCOUNTS;
    const only = accounts.length === 1 ? accounts[0] : undefined;
    const project = (accounts.find((entry) => entry.project === device.param) ?? only)?.project;
    if (project === undefined) return { outcome: 'not_configured', reason: 'FIREBASE_SERVICE_ACCOUNTS has no account for this pn_param' };
    return async (content) => {
      const fcm = await load(
        'fcm',
        () => import('./providers/fcm.js'),
        ({ closeFcm }) => closeFcm(),
      );
      return deliver({ provider: `fcm ${project}`, recipient }, left, SEND_TIMEOUT_MS, (signal) =>
        fcm.sendFcm(project, fcmPush(device, content), signal),
      );
    };
  }
  const environment = device.provider;
  if (settings.APNS_KEY_FILE === undefined && settings.APNS_CERT_FILE === undefined)
    return { outcome: 'not_configured', reason: 'APNS_KEY_FILE is not set' };
  const topic = apnsTopic(device.param, settings.APNS_TOPIC, type);
  if (topic === null) return { outcome: 'not_configured', reason: 'APNS_TOPIC is not set, and pn_param names no topic' };
  return async (content) => {
    const apns = await load(
      'apns',
      () => import('./providers/apns.js'),
      ({ closeApns }) => closeApns(),
    );
    return deliver({ provider: environment, recipient }, left, SEND_TIMEOUT_MS, (signal) =>
      apns.sendApns(environment, apnsPush(device, topic, content), signal),
    );
  };
}

/** Does a job of the queue `push`: a notification, or a creation token where the device may have one. */
export async function handlePush({ payload, timeLeft }: Job<'push'>): Promise<PushResult> {
  if (timeLeft() <= RECORD_MARGIN_MS) return { outcome: 'expired', reason: 'nobody waits for it any more' };
  const type = payload.kind === 'notification' ? payload.type : 'background';
  const send = sendTo(payload, type, timeLeft);
  if (typeof send !== 'function') return send;
  if (payload.kind === 'notification') return send({ type, callId: payload.call_id, token: null });

  const decision = await decideOnDevice({ ...payload, prid: payload.prid ?? '' }, payload, () => Math.min(timeLeft(), SEND_TIMEOUT_MS));
  if (decision.outcome !== 'send') return decision;
  let result: PushResult;
  try {
    result = await send({ type, callId: null, token: decision.token });
  } catch (error) {
    await deleteUnsent(decision.id);
    throw error;
  }
  if (result.outcome !== 'sent') {
    // Also where nobody knows whether it was delivered: the request is answered 503, so its token must not work.
    await deleteUnsent(decision.id);
    return result;
  }
  // The asker's word makes the token usable: where the result does not reach it, it has said 503.
  if (payload.asker_confirms === true) return { ...result, unconfirmed_token: decision.id };
  return (await markSent(decision.id)) ? result : { outcome: 'expired', reason: 'sent after its deadline' };
}
