// What a named key may be limited to. Each endpoint names the one that it needs.

/** Every scope; `*` is all of them, and what none of the others allows. A scope that writes allows no reading. */
export const SCOPES = [
  'accounts:read',
  'accounts:write',
  'spaces:read',
  'spaces:write',
  'statistics:read',
  'statistics:write',
  'contacts:read',
  'contacts:write',
  'push:send',
  'messages:send',
  'keys:write',
  'queues:read',
  'queues:write',
  '*',
] as const;
export type Scope = (typeof SCOPES)[number];

/** Scopes of credentials; null: those of a person (the own key, DIGEST, a JSON Web Token), who may do all that the account's role allows. */
export type Scopes = readonly Scope[] | null;

/** Whether credentials with these scopes may do what needs `scope`. */
export const mayUse = (scopes: Scopes, scope: Scope): boolean => scopes === null || scopes.includes('*') || scopes.includes(scope);

/** Those of `wanted` that `scopes` does not have: nobody gives away more than he has. */
export const scopesLacking = (scopes: Scopes, wanted: readonly Scope[]): Scope[] => wanted.filter((scope) => !mayUse(scopes, scope));
