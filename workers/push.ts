// The queue `push`: whether a device may be sent a token is decided here, and what is sent is sent from here.
import { settings } from '../config';
import type { PushDevice, PushResult } from '../src/queues/contracts';
import { type BegunSend, endSend, ledgerEntry, recordUnsent, sentByPush } from '../src/services/messaging/ledger';
import { decideOnDevice, deleteUnsent, markSent } from '../src/services/tokens/creation-tokens';
import { type Job, resultOf } from './job';
import { load } from './providers';
import { deliver, type Delivery } from './providers/delivery';
import { apnsPush, apnsTopic, fcmPush, type PushContent } from './push-content';
import { BROKEN, sendAtOnce } from './sends';

/** How a device is reached. */
interface Way {
  send: (content: PushContent) => Promise<Delivery>;
  /** The topic or project. */
  target: string;
}

/** For the whole of a push that no request waits for. */
const SEND_TIMEOUT_MS = 30_000;
/** What must be left once a send is done: for its result's way to the asker, and for recording it. */
const RECORD_MARGIN_MS = 250;

/** How a device is reached, or why it cannot be: decided before anything is written. */
function wayTo(device: PushDevice, type: PushContent['type'], timeLeft: () => number): Way | PushResult {
  const left = (): number => timeLeft() - RECORD_MARGIN_MS;
  if (device.prid === null || device.prid.split(':')[0] === '')
    return { outcome: 'no_device', reason_word: 'device_missing', reason: 'pn_prid is missing' };
  const recipient = device.prid;
  if (device.provider === 'fcm') {
    // pn_param picks the project; a single one serves all.
    const accounts = settings.FIREBASE_SERVICE_ACCOUNTS;
    const only = accounts.length === 1 ? accounts[0] : undefined;
    const project = (accounts.find((entry) => entry.project === device.param) ?? only)?.project;
    if (project === undefined) return notConfigured('FIREBASE_SERVICE_ACCOUNTS has no account for this pn_param');
    const send: Way['send'] = async (content) => {
      const fcm = await load(
        'fcm',
        () => import('./providers/fcm.js'),
        ({ closeFcm }) => closeFcm(),
      );
      return deliver({ provider: `fcm ${project}`, recipient }, left, SEND_TIMEOUT_MS, (signal) =>
        fcm.sendFcm(project, fcmPush(device, content), signal),
      );
    };
    return { send, target: project };
  }
  const environment = device.provider;
  if (settings.APNS_KEY_FILE === undefined && settings.APNS_CERT_FILE === undefined) return notConfigured('APNS_KEY_FILE is not set');
  const topic = apnsTopic(device.param, settings.APNS_TOPIC, type);
  if (topic === null) return notConfigured('APNS_TOPIC is not set, and pn_param names no topic');
  const send: Way['send'] = async (content) => {
    const apns = await load(
      'apns',
      () => import('./providers/apns.js'),
      ({ closeApns }) => closeApns(),
    );
    return deliver({ provider: environment, recipient }, left, SEND_TIMEOUT_MS, (signal) =>
      apns.sendApns(environment, apnsPush(device, topic, content), signal),
    );
  };
  return { send, target: topic };
}

const notConfigured = (reason: string): PushResult => ({ outcome: 'not_configured', reason_word: 'not_configured', reason });

const TOO_LATE: PushResult = { outcome: 'expired', reason_word: 'timeout', reason: 'nobody waits for it any more' };

/** Does a job of the queue `push`: a notification, or a creation token where the device may have one. */
export async function handlePush({ payload, timeLeft, queuedMs, requestId }: Job<'push'>): Promise<PushResult> {
  const begun: BegunSend = {
    ...sentByPush(payload),
    queuedMs,
    requestId,
  };
  const type = payload.kind === 'notification' ? payload.type : 'background';
  const way = timeLeft() <= RECORD_MARGIN_MS ? TOO_LATE : wayTo(payload, type, timeLeft);
  if ('outcome' in way) {
    recordUnsent(begun, way);
    return way;
  }
  const send: BegunSend = { ...begun, target: way.target };
  if (payload.kind === 'notification') return sendAtOnce(send, null, () => way.send({ type, callId: payload.call_id, token: null }));

  const timeToSend = (): number => Math.min(timeLeft(), SEND_TIMEOUT_MS);
  const decision = await decideOnDevice({ ...payload, prid: payload.prid ?? '' }, payload, timeToSend, ledgerEntry(send));
  if (decision.outcome !== 'send') return { ...decision, reason_word: decision.outcome };
  let delivery: Delivery;
  try {
    delivery = await way.send({ type, callId: null, token: decision.token });
  } catch (error) {
    endSend(decision.send, BROKEN);
    await deleteUnsent(decision.id);
    throw error;
  }
  endSend(decision.send, delivery);
  const result = resultOf(delivery);
  if (result.outcome !== 'sent') {
    // Also where nobody knows whether it was delivered: the request is answered 503, so its token must not work.
    await deleteUnsent(decision.id);
    return result;
  }
  // The asker's word makes the token usable: where the result does not reach it, it has said 503.
  if (payload.asker_confirms === true) return { ...result, unconfirmed_token: decision.id };
  return (await markSent(decision.id)) ? result : { outcome: 'expired', reason_word: 'timeout', reason: 'sent after its deadline' };
}
