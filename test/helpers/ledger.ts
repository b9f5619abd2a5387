// A ledger of sends as workers leave it, of two days: for looking at.
import { SPACE, type System } from './system';

type Row = Record<string, unknown>;

const FAILURES: Row[] = [
  { reason: 'device_unknown', outcome: 'unregistered', provider: 'apns', provider_code: 'Unregistered', channel: 'push' },
  { reason: 'sender_mismatch', outcome: 'refused', provider: 'fcm', provider_code: 'messaging/mismatched-credential', channel: 'push' },
  { reason: 'provider_throttled', outcome: 'failed', provider: 'twilio', provider_code: '20429', channel: 'sms' },
  { reason: 'provider_failing', outcome: 'failed', provider: 'apns', provider_code: 'ServiceUnavailable', channel: 'push' },
  { reason: 'recipient_refused', outcome: 'refused', provider: 'smtp', provider_code: '550-5.1.1', channel: 'email' },
  { reason: 'already_sent', outcome: 'already_sent', channel: 'push', kind: 'creation_token' },
  { reason: 'timeout', outcome: 'unknown', state: 'unknown', provider: 'smtp', channel: 'email' },
];
const KINDS: Record<string, string> = { push: 'notification', sms: 'phone_change', email: 'email_change', message: 'message' };
const PROVIDERS: Record<string, string> = { push: 'apns', sms: 'twilio', email: 'smtp', message: 'linphone-daemon' };
const RECIPIENTS: Record<string, (n: number) => string> = {
  push: (n) => n.toString(16).padStart(64, 'a'),
  sms: (n) => `+3361${String(n).padStart(7, '0')}`,
  email: (n) => `reader${n}@example.org`,
  message: (n) => `user${n}@${SPACE}`,
};

/** Fills the ledger of a system. @returns how many of what there are in the last 24 hours */
export async function fillLedger(
  system: System,
  tenant: string,
): Promise<Record<'total' | 'failed' | 'deviceUnknown' | 'ofPhone' | 'ofTenant' | 'smsOfTenant', number>> {
  Object.assign(process.env, system.environment);
  jest.resetModules();
  const { ledgerRecipient } = await import('../../src/services/messaging/recipients.js');
  const { id: account } = await system.account('much-sent-to', { domain: tenant });
  const rows: Row[] = [];
  const add = ({ to, minutes, ...row }: Row & { to?: string; minutes: number }): void => {
    const channel = String(row['channel']) as 'sms';
    const made = new Date(Date.now() - minutes * 60_000);
    const attempted = row['outcome'] !== 'already_sent';
    rows.push({
      kind: KINDS[channel],
      provider: PROVIDERS[channel],
      state: 'sent',
      outcome: 'sent',
      attempts: attempted ? 1 : 0,
      queued_ms: 2 + ((rows.length * 7) % 40),
      provider_ms: attempted ? 80 + ((rows.length * 131) % 900) : null,
      request_id: `9f1c${String(rows.length).padStart(8, '0')}`,
      domain: rows.length % 4 === 0 ? tenant : SPACE,
      ...ledgerRecipient(channel, to ?? RECIPIENTS[channel]?.(rows.length) ?? ''),
      created_at: made,
      ended_at: new Date(made.getTime() + 700),
      next_at: null,
      ...row,
    });
  };
  const channels = ['push', 'push', 'sms', 'email', 'push', 'message'];
  for (let n = 0; n < 220; n += 1) {
    const failure = n % 6 === 5 ? FAILURES[Math.floor(n / 6) % FAILURES.length] : undefined;
    // Densest now, and in no hour without any.
    const minutes = 3 + 1300 * (n / 220) ** 1.4;
    add({
      channel: channels[n % channels.length],
      minutes,
      converted_at: n % 5 === 0 ? new Date() : null,
      ...(failure ? { state: 'failed', ...failure } : {}),
    });
  }
  const phone = { channel: 'sms', to: '+33612345678', account_id: account, domain: tenant };
  add({ ...phone, minutes: 1, state: 'failed', outcome: 'unregistered', reason: 'recipient_refused', provider_code: '21610' });
  add({ ...phone, minutes: 9, delivery: 'delivered', delivered_at: new Date(), converted_at: new Date() });
  add({ ...phone, minutes: 60 * 24 * 12, kind: 'account_recovery' });
  add({ channel: 'email', kind: 'account_creation', minutes: 2, state: 'due', outcome: null, ended_at: null, provider: null });
  for (const row of rows) {
    const columns = Object.keys(row);
    await system.rows(
      `INSERT INTO sends (${columns.join(', ')}) VALUES (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(row),
    );
  }
  const lately = rows.filter(({ created_at }) => (created_at as Date).getTime() > Date.now() - 23 * 3_600_000);
  const of = (isCounted: (row: Row) => boolean, among = lately): number => among.filter(isCounted).length;
  return {
    total: lately.length,
    failed: of(({ state, outcome }) => state === 'failed' && outcome !== 'already_sent'),
    deviceUnknown: of(({ reason }) => reason === 'device_unknown'),
    ofPhone: of(({ account_id }) => account_id === account, rows),
    ofTenant: of(({ domain }) => domain === tenant),
    smsOfTenant: of(({ domain, channel }) => domain === tenant && channel === 'sms'),
  };
}
