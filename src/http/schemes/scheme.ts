// What every scheme of authentication is.
import type { Request } from 'express';
import type { Identity } from '../../services/credentials/identities';

/** Who calls, once a scheme has accepted the credentials. */
export interface Authenticated {
  identity: Identity;
  /** Headers that the answer carries, whatever becomes of the request. */
  headers?: Record<string, string | string[]>;
}

/** `applies` looks at headers only; where it does, `identify` answers or throws, and no later scheme is asked. */
export interface Scheme {
  applies: (request: Request) => boolean;
  identify: (request: Request) => Promise<Authenticated>;
}
