// What Flexisip reports: stored durably before the answer, many reports in one statement, each with its own outcome.
import { Batcher } from '../../infra/batcher';
import { statisticsBatch } from '../../infra/metrics';
import { StatisticsCall, StatisticsCallDevice, StatisticsMessage, StatisticsMessageDevice } from '../../models';
import type { CallDeviceReport, CallEndReport, CallReport, StoredCall, StoredCallDevice } from '../../models/statistics/call';
import type { MessageDeviceReport, MessageReport, StoredMessageDevice } from '../../models/statistics/message';

const keyOf = (...parts: string[]): string => JSON.stringify(parts);
const messageDeviceKey = ({ message_id, to_username, to_domain, device_id }: MessageDeviceReport): string =>
  keyOf(message_id, to_username, to_domain, device_id);
const callDeviceKey = ({ call_id, device_id }: CallDeviceReport): string => keyOf(call_id, device_id);

/** Gives each report the row of its key; of several reports with one key the first is the one that may have made it. */
function align<Report, Row extends Report & { created: boolean }>(
  reports: Report[],
  stored: Row[],
  key: (of: Report) => string,
): (Row | null)[] {
  const byKey = new Map(stored.map((row) => [key(row), row]));
  return reports.map((report) => {
    const row = byKey.get(key(report));
    if (!row) return null;
    byKey.set(key(report), { ...row, created: false });
    return row;
  });
}

/** Whether each report's id was new: the first of several with one id is stored, the others are told so. */
function firstOfEach(reports: { id: string }[], stored: { id: string }[]): boolean[] {
  const fresh = new Set(stored.map(({ id }) => id));
  return reports.map(({ id }) => fresh.delete(id));
}

/** Flexisip ignores the answer and repeats nothing: what is refused is lost. */
const PATIENT = { patience: 'report' } as const;

/** Messages that were sent. false: a message with that id is there already. */
export const messageReports = new Batcher<MessageReport, boolean>(async (reports) => {
  statisticsBatch.observe({ kind: 'messages' }, reports.length);
  return firstOfEach(reports, await StatisticsMessage.store(reports));
}, PATIENT);

/** What devices answered to messages. The device's row; null: no such message. */
export const messageDeviceReports = new Batcher<MessageDeviceReport, StoredMessageDevice | null>(async (reports) => {
  statisticsBatch.observe({ kind: 'message_devices' }, reports.length);
  return align(reports, await StatisticsMessageDevice.store(reports), messageDeviceKey);
}, PATIENT);

/** Calls that started. false: a call with that id is there already. */
export const callReports = new Batcher<CallReport, boolean>(async (reports) => {
  statisticsBatch.observe({ kind: 'calls' }, reports.length);
  return firstOfEach(reports, await StatisticsCall.store(reports));
}, PATIENT);

/** What devices did with calls. The device's row; null: no such call. */
export const callDeviceReports = new Batcher<CallDeviceReport, StoredCallDevice | null>(async (reports) => {
  statisticsBatch.observe({ kind: 'call_devices' }, reports.length);
  return align(reports, await StatisticsCallDevice.store(reports), callDeviceKey);
}, PATIENT);

/** Calls that ended. The call; null: no such call. */
export const callEndReports = new Batcher<CallEndReport, StoredCall | null>(async (reports) => {
  statisticsBatch.observe({ kind: 'call_ends' }, reports.length);
  const byId = new Map((await StatisticsCall.storeEnds(reports)).map((row) => [row.id, row]));
  return reports.map(({ id }) => byId.get(id) ?? null);
}, PATIENT);

/** Resolves once every report that was accepted is stored or refused. */
export async function statisticsIdle(): Promise<void> {
  const batchers = [messageReports, messageDeviceReports, callReports, callDeviceReports, callEndReports];
  await Promise.all(batchers.map((batcher) => batcher.idle()));
}
