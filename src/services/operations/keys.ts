// Named keys that are about to end, or are shown although they ended: operators hear of them before whoever depends on them does.
import { log } from '../../infra/log';
import { keyExpires, keyRefusedAge } from '../../infra/metrics';
import { sharedFor } from '../../infra/shared';
import { withTimeout } from '../../infra/timeout';
import { NamedApiKey } from '../../models';
import type { KeyConcern, KeyRefusal } from '../../models/credentials/named-api-key';

/** Whoever looks at metrics and at readiness in the same moment costs one statement. */
const SHARED_MS = 1000;
/** Of warnings, so many are told. */
const MAX_TOLD = 20;
const UNITS: [seconds: number, name: string][] = [
  [24 * 60 * 60, 'days'],
  [60 * 60, 'hours'],
  [60, 'minutes'],
];

const concernsNow = sharedFor(SHARED_MS, () => NamedApiKey.concerns());

const REFUSALS: Record<KeyRefusal, string> = {
  expired: 'it has expired: give it another end (PATCH /api/api_keys/{id}), or revoke it',
  rotated: 'an older secret is still in use: put the new one in its place, or rotate with a grace period (bin/flexiapi api-keys:rotate)',
  address: 'it was shown from an address that it does not allow',
  account: 'its account is blocked, is no admin (any more), or its Space has expired',
  scope: 'it lacks a scope of what it was used for',
};

/** `3 days`, `2 hours`; below two minutes in seconds. */
function duration(seconds: number): string {
  const [unit, name] = UNITS.find(([length]) => seconds >= 2 * length) ?? [1, 's'];
  return `${Math.floor(seconds / unit)} ${name}`;
}

function warningsOf({ name, expires_seconds: left, ends_soon, refused_seconds: ago, last_refused_reason: reason }: KeyConcern): string[] {
  const key = `the API key ${JSON.stringify(name)}`;
  return [
    ...(ends_soon && left !== null ? [`${key} expires in ${duration(left)}`] : []),
    ...(ago !== null && reason !== null ? [`${key} was refused ${duration(ago)} ago: ${REFUSALS[reason as KeyRefusal]}`] : []),
  ];
}

/** A line for each key that ends soon, or was refused within the last hour. @throws what Sequelize throws where PostgreSQL does not answer */
export async function keyWarnings(): Promise<string[]> {
  const warnings = (await concernsNow()).flatMap(warningsOf);
  const left = warnings.length - MAX_TOLD;
  return left > 0 ? [...warnings.slice(0, MAX_TOLD), `and ${left} more about API keys: bin/flexiapi api-keys`] : warnings;
}

/** Of each name the lowest of some figure of its keys. */
function lowest(concerns: readonly KeyConcern[], figure: (concern: KeyConcern) => number | null): Map<string, number> {
  const found = new Map<string, number>();
  for (const concern of concerns) {
    const value = figure(concern);
    if (value !== null) found.set(concern.name, Math.min(value, found.get(concern.name) ?? Number.POSITIVE_INFINITY));
  }
  return found;
}

/** By name: seconds until the first key of that name ends, and since the last refusal of one within an hour. @throws as keyWarnings() */
export async function keyAges(): Promise<{ expires: Map<string, number>; refused: Map<string, number> }> {
  const concerns = await concernsNow();
  return {
    expires: lowest(concerns, ({ expires_seconds }) => expires_seconds),
    refused: lowest(concerns, ({ refused_seconds }) => refused_seconds),
  };
}

/** Sets the gauges of ends and refusals. Never throws: without figures there are none. */
export async function measureKeys(timeoutMs: number): Promise<void> {
  const ages = await withTimeout(keyAges(), timeoutMs, 'PostgreSQL').catch(() => undefined);
  keyExpires.reset();
  keyRefusedAge.reset();
  for (const [name, seconds] of ages?.expires ?? []) keyExpires.set({ name }, seconds);
  for (const [name, seconds] of ages?.refused ?? []) keyRefusedAge.set({ name }, seconds);
}

/** One line of the log about all of them; none where all is well. @throws as keyWarnings() */
export async function logKeyWarnings(): Promise<void> {
  const keys = (await NamedApiKey.concerns()).filter(({ ends_soon, refused_seconds }) => ends_soon || refused_seconds !== null);
  if (keys.length === 0) return;
  const told = keys
    .slice(0, MAX_TOLD)
    .map(({ id, account_id, name, ends_soon, expires_seconds, refused_seconds, last_refused_reason }) => ({
      key_id: id,
      key: name,
      account_id,
      ...(ends_soon && expires_seconds !== null ? { expires_seconds: Math.round(expires_seconds) } : {}),
      ...(refused_seconds === null ? {} : { refused_seconds: Math.round(refused_seconds), reason: last_refused_reason }),
    }));
  log.warn({ keys: told, count: keys.length }, 'API keys expire soon, or are refused');
}
