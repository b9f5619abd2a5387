// What every scheme of authentication is.
import type { Request } from 'express';
import type { Identity, Viewed } from '../../services/credentials/identities';

/** What the credentials are shown for: a cookie is not good for everything. */
export interface Purpose {
  /** Whether the request changes anything. */
  changes: boolean;
  /** One of the server's own pages, or what they ask for: their sign-in cookie counts. */
  page?: boolean;
  /** Whether the account's own view is wanted with the identity: one statement gives both. */
  withView?: boolean;
}

/** Who calls, once a scheme has accepted the credentials. */
export interface Authenticated {
  identity: Identity & Viewed;
  /** Headers that the answer carries, whatever becomes of the request. */
  headers?: Record<string, string | string[]>;
}

/** `applies` looks at headers only; where it does, `identify` answers or throws, and no later scheme is asked. */
export interface Scheme {
  applies: (request: Request, purpose: Purpose) => boolean;
  identify: (request: Request, purpose: Purpose) => Promise<Authenticated>;
}
