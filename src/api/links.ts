// The two endpoints of things that belong together: POST links them, DELETE takes the link away. Of several things that are wrong the
// answer names the first in this order: the first is missing (404), the link is there already or is not (403), the second is missing (404).
import { forbidden, notFound } from '../infra/errors';
import { ok, route, type AnyEndpoint, pathId, type Scope } from '../http/route';
import type { MessageKey } from '../i18n';
import { addLink, removeLink, type LinkKind } from '../models/address-book/links';
import { shapes } from './shapes';

interface LinkedPair {
  kind: LinkKind;
  group: string;
  /** With two parameters: what is linked, and what to. */
  path: `/${string}/:${string}/${string}/:${string}`;
  scope: Scope;
  add: { summary: string; already: MessageKey };
  remove: { summary: string; absent: MessageKey };
  missing: [one: MessageKey, other: MessageKey];
}

/** POST and DELETE of one kind of link. */
export function linkEndpoints({ kind, group, path, scope, add, remove, missing }: LinkedPair): AnyEndpoint[] {
  const idsOf = (params: Record<string, string>): [number, number] => {
    const [one = '', other = ''] = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => params[name]);
    return [pathId(one), pathId(other)];
  };
  const shared = { access: 'admin', group, path, scope } as const;
  return [
    route({
      ...shared,
      method: 'post',
      summary: add.summary,
      answers: { 200: { description: 'Done', schema: shapes.empty }, 403: 'It is so already', 404: 'One or the other does not exist' },
      handler: async ({ caller, params }) => {
        const outcome = await addLink(caller, kind, ...idsOf(params));
        if (outcome === 'already') throw forbidden(add.already);
        if (outcome !== 'added') throw notFound(missing[outcome === 'one_missing' ? 0 : 1]);
        return ok();
      },
    }),
    route({
      ...shared,
      method: 'delete',
      summary: remove.summary,
      answers: { 200: { description: 'Done', schema: shapes.empty }, 403: 'It is not so', 404: 'The first does not exist' },
      handler: async ({ caller, params }) => {
        const outcome = await removeLink(caller, kind, ...idsOf(params));
        if (outcome === 'one_missing') throw notFound(missing[0]);
        if (outcome === 'absent') throw forbidden(remove.absent);
        return ok();
      },
    }),
  ];
}
