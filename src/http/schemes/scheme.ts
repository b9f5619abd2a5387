// A way in: what every scheme of authentication is.
import type { Request } from 'express';
import type { Identity } from '../../services/credentials/identities';

export interface Authenticated {
  identity: Identity;
  /** Headers that the answer carries whatever comes of it. */
  headers?: Record<string, string | string[]>;
}

/** `applies` looks at headers only; where it does, `identify` answers or throws, and no later scheme is asked (api.md 2.1). */
export interface Scheme {
  applies: (request: Request) => boolean;
  identify: (request: Request) => Promise<Authenticated>;
}
