// Refusals of the providers that speak HTTP, as each of them words them.
import type { Mode } from './outside';

/** So that nothing is sent again within the time of a request: each message has one attempt. */
const LATER = { 'retry-after': '3600' };
/** An answer of any of them. */
export const answer = (status: number, body: object | string = ''): Mode => ({
  status,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  headers: LATER,
});
export const apns = (status: number, reason: string): Mode => answer(status, { reason });
export const fcm = (code: number, status: string, errorCode?: string): Mode =>
  answer(code, {
    error: {
      code,
      status,
      details: errorCode === undefined ? [] : [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }],
    },
  });
export const twilio = (status: number, code: number): Mode => answer(status, { code, message: 'no', status });
