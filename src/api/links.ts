// The two rows of things that belong together: POST links them, DELETE takes the link away. What is wrong is told in this order: the first
// is missing (404), the link is there already or is not (403), the second is missing (404).
import { forbidden, notFound } from '../infra/errors';
import { ok, route, type AnyEndpoint } from '../http/route';
import type { MessageKey } from '../i18n';
import { addLink, removeLink, type LinkKind } from '../services/address-book/links';
import { pathId, scopeOf } from './parameters';
import { shapes } from './shapes';

interface LinkRows {
  kind: LinkKind;
  group: string;
  /** With two parameters: what is linked, and what to. */
  path: `/${string}/:${string}/${string}/:${string}`;
  add: { summary: string; already: MessageKey };
  remove: { summary: string; absent: MessageKey };
  missing: [one: MessageKey, other: MessageKey];
}

export function linkRows({ kind, group, path, add, remove, missing }: LinkRows): AnyEndpoint[] {
  const idsOf = (params: Record<string, string>): [number, number] => {
    const [one = '', other = ''] = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => params[name]);
    return [pathId(one), pathId(other)];
  };
  const shared = { access: 'admin', group, path } as const;
  return [
    route({
      ...shared,
      method: 'post',
      summary: add.summary,
      answers: { 200: { description: 'Done', schema: shapes.empty }, 403: 'It is so already', 404: 'One or the other does not exist' },
      handler: async ({ caller, params }) => {
        const outcome = await addLink(kind, ...idsOf(params), scopeOf(caller));
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
        const outcome = await removeLink(kind, ...idsOf(params), scopeOf(caller));
        if (outcome === 'one_missing') throw notFound(missing[0]);
        if (outcome === 'absent') throw forbidden(remove.absent);
        return ok();
      },
    }),
  ];
}
