// What the endpoints of sends answer, as the script of /sends reads it.
export type Class = 'sent' | 'refused' | 'failed' | 'unknown' | 'pending';
export type Hour = Record<Class, number> & { hour: string };
export type Part = 'p50' | 'p90' | 'p99';
export type Channel = { channel: string; sends: number; sent: number; converted: number } & Record<
  `${'queued' | 'provider'}_${Part}`,
  number | null
>;
export interface Reason {
  reason: string;
  channel: string;
  provider: string | null;
  provider_code: string | null;
  sends: number;
  last_at: string;
}
export interface Summary {
  since: string;
  until: string;
  hours: Hour[];
  channels: Channel[];
  reasons: Reason[];
}
export type Send = Record<'channel' | 'kind' | 'state' | 'created_at', string> &
  Record<
    | 'domain'
    | 'recipient'
    | 'country'
    | 'provider'
    | 'outcome'
    | 'reason'
    | 'provider_code'
    | 'detail'
    | 'request_id'
    | 'delivery'
    | 'converted_at'
    | 'ended_at',
    string | null
  > &
  Record<'account_id' | 'queued_ms' | 'provider_ms', number | null> & { id: number; attempts: number };
export interface List {
  data: Send[];
  next_cursor: string | null;
}
