// Credentials for the TURN server (draft-uberti-behave-turn-rest-00, https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00).
import { createHmac } from 'node:crypto';
import { settings } from '../../../config';
import { randomText } from '../credentials/secrets';

/** What an app signs in to the TURN server with. */
export interface TurnCredentials {
  username: string;
  password: string;
  /** Seconds. */
  ttl: number;
  uris: string[];
}

/**
 * Fresh credentials: good for `ttl` seconds, and checked by the TURN server alone, which shares the secret.
 *
 * @param now milliseconds since 1970
 * @returns null where no TURN server is configured
 */
export function turnCredentials(now = Date.now()): TurnCredentials | null {
  const { COTURN_SERVER_HOST: host, COTURN_STATIC_AUTH_SECRET: secret, COTURN_SESSION_TTL_MINUTES: minutes } = settings;
  if (host === undefined || secret === undefined || minutes === 0) return null;
  const ttl = minutes * 60;
  const username = `${Math.floor(now / 1000) + ttl}:${randomText(16)}`;
  return { username, password: createHmac('sha1', secret).update(username).digest('base64'), ttl, uris: [`turn:${host}`] };
}
