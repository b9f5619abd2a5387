// The queue `push`: whether a device may be sent a token is decided here, and what is sent is sent from here.
import { settings } from '../config';
import type { PushDevice, PushResult } from '../src/queues/contracts';
import { decideOnDevice, forgetUnsent, markSent } from '../src/services/tokens/creation-tokens';
import type { Job } from './job';
import { load } from './providers';
import { deliver } from './providers/delivery';
import { apnsPush, apnsTopic, fcmPush, type PushContent } from './push-content';

type Send = (content: PushContent) => Promise<PushResult>;

const LIMIT = 30_000;
/** What must be left for recording a send once it is done. */
const RECORDING = 150;

/** The way to a device, or why there is none: settled before anything is written. */
function wayTo(device: PushDevice, type: PushContent['type'], timeLeft: () => number): Send | PushResult {
  const left = (): number => timeLeft() - RECORDING;
  if (device.prid === null || device.prid.split(':')[0] === '') return { outcome: 'no_device', reason: 'pn_prid is missing' };
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
      return deliver(`fcm ${project}`, left, LIMIT, () => fcm.sendFcm(project, fcmPush(device, content)));
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
    return deliver(environment, left, LIMIT, (signal) => apns.sendApns(environment, apnsPush(device, topic, content), signal));
  };
}

export async function sendPush({ payload, timeLeft }: Job<'push'>): Promise<PushResult> {
  if (timeLeft() <= RECORDING) return { outcome: 'expired', reason: 'nobody waits for it any more' };
  const type = payload.kind === 'notification' ? payload.type : 'background';
  const send = wayTo(payload, type, timeLeft);
  if (typeof send !== 'function') return send;
  if (payload.kind === 'notification') return send({ type, callId: payload.call_id, token: null });

  const decision = await decideOnDevice(payload, payload, Math.min(timeLeft(), LIMIT));
  if (decision.outcome !== 'send') return decision;
  let result: PushResult;
  try {
    result = await send({ type, callId: null, token: decision.token });
  } catch (error) {
    await forgetUnsent(decision.id);
    throw error;
  }
  if (result.outcome !== 'sent') {
    // Also where nobody knows: a token that was perhaps delivered was promised to nobody.
    await forgetUnsent(decision.id);
    return result;
  }
  return (await markSent(decision.id)) ? result : { outcome: 'expired', reason: 'sent after its deadline' };
}
