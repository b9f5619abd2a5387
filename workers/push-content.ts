// What a push holds, laid out as Flexisip's own pusher does it: apps read the token and the Call-ID out of it.
import { randomUUID } from 'node:crypto';
import type { PushDevice, PushType } from '../src/queues/contracts';
import type { ApnsPush } from './providers/apns';
import type { FcmPush } from './providers/fcm';

export interface PushContent {
  type: PushType;
  callId: string | null;
  /** The token of an account creation; null for other pushes. */
  token: string | null;
}

const DAY_SECONDS = 24 * 3600;
/** A call that was not answered by then is over. */
const CALL_TTL_SECONDS = 90;
const APNS_TTL_SECONDS = 30 * DAY_SECONDS;
/** The longest that FCM takes. */
const FCM_TTL_SECONDS = 28 * DAY_SECONDS;

const sendTime = (now: Date): string => now.toISOString().slice(0, 19).replace('T', ' ');
const customPayload = (token: string | null): Record<string, string> => (token === null ? {} : { token });

/**
 * The topic of a push to an Apple device.
 *
 * @param param `TEAMID.bundle.id`, perhaps with `.remote` behind it; what follows the first dot is the topic
 * @param configured APNS_TOPIC, which goes before
 * @returns null where neither names one
 */
export function apnsTopic(param: string | null, configured: string | undefined, type: PushType): string | null {
  const dot = param?.indexOf('.') ?? -1;
  const topic = configured ?? (dot < 0 ? undefined : param?.slice(dot + 1).replace(/\.remote$/, ''));
  if (!topic) return null;
  return type === 'call' && !topic.endsWith('.voip') ? `${topic}.voip` : topic;
}

/** A push to an Apple device. @param topic from apnsTopic() */
export function apnsPush({ prid }: PushDevice, topic: string, { type, callId, token }: PushContent, now = new Date()): ApnsPush {
  const call = { 'call-id': callId ?? '', uuid: randomUUID(), 'send-time': sendTime(now) };
  const ttl = type === 'call' ? CALL_TTL_SECONDS : APNS_TTL_SECONDS;
  const aps = {
    background: { badge: 0, 'content-available': 1, 'loc-key': 'IM_MSG', 'loc-args': [''], ...call },
    message: { alert: { 'loc-key': 'IM_MSG', 'loc-args': [''] }, sound: 'default', 'mutable-content': 1, badge: 1 },
    call: { sound: '', 'loc-key': 'IC_MSG', 'loc-args': [''], ...call },
  }[type];
  return {
    // A phone registers `token:remote` or `token:voip`; only the token is Apple's.
    token: prid?.split(':')[0] ?? '',
    topic,
    pushType: ({ background: 'background', message: 'alert', call: 'voip' } as const)[type],
    // Apple refuses 10 for background.
    priority: type === 'background' ? 5 : 10,
    expiry: Math.floor(now.getTime() / 1000) + ttl,
    payload: {
      aps,
      ...(type === 'message' ? { ...call, 'chat-room-addr': '' } : {}),
      'from-uri': '',
      'display-name': '',
      pn_ttl: ttl,
      customPayload: customPayload(token),
    },
  };
}

/** A push to an Android device. */
export function fcmPush({ prid }: PushDevice, { type, callId, token }: PushContent, now = new Date()): FcmPush {
  return {
    token: prid ?? '',
    ttl: (type === 'call' ? CALL_TTL_SECONDS : FCM_TTL_SECONDS) * 1000,
    data: {
      uuid: randomUUID(),
      'from-uri': '',
      'display-name': '',
      'call-id': callId ?? '',
      'sip-from': '',
      'loc-key': type === 'call' ? 'IC_MSG' : 'IM_MSG',
      'loc-args': '',
      'send-time': sendTime(now),
      'custom-payload': JSON.stringify(customPayload(token)),
    },
  };
}
