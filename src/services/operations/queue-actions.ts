// Who did what to which queue, written down before it is done: where that cannot be, nothing is done.
import { setTimeout as sleep } from 'node:timers/promises';
import { context, inBackground } from '../../infra/context';
import { log, reasonOf } from '../../infra/log';
import { withTimeout } from '../../infra/timeout';
import { NamedApiKey, QueueAction } from '../../models';
import type { ActionEnd, ActionSource } from '../../models/operations/queue-action';
import { SYSTEM, visibleTo } from '../../models/visibility';

/** An answer waits so long for what came of an action to be written; after that it is written behind it. */
const END_TIMEOUT_MS = 1000;
const END_ATTEMPTS = 5;
const END_PAUSE_MS = 2000;
/** What columns hold. */
const MAX_NAME_CHARACTERS = { queue: 64, job: 255, account: 255 } as const;

/** Who does something, and from where. */
export interface Actor {
  source: ActionSource;
  /** null: at the command line. */
  account_id: number | null;
  /** `user@domain`; at the command line the user of the system, and the machine. */
  account: string;
  /** Of the named key that was shown. */
  key_id: number | null;
  ip: string | null;
}

/** What is to be done. */
export interface Intent {
  action: string;
  /** As it was named; null: all of them. */
  queue: string | null;
  job?: string | null;
  /** What it is limited to. */
  filter?: Record<string, unknown> | null;
}

/** An action that is written down and under way. */
export interface BegunAction {
  /** Writes what came of it. Never throws: where the database does not answer it is tried again behind the answer. */
  end: (end: ActionEnd) => Promise<void>;
}

const clip = (text: string | null | undefined, characters: number): string | null =>
  text === null || text === undefined ? null : Array.from(text.replaceAll('\u0000', '')).slice(0, characters).join('');

/** A caller of the API or the dashboard. */
export const actorOf = (
  source: 'board' | 'api',
  { account_id, username, domain, named_key_id }: { account_id: number; username: string; domain: string; named_key_id?: number },
  ip: string,
): Actor => ({ source, account_id, account: `${username}@${domain}`, key_id: named_key_id ?? null, ip });

const ending = new Set<Promise<void>>();

async function endAgain(id: number, end: ActionEnd): Promise<void> {
  for (let attempt = 0; attempt < END_ATTEMPTS; attempt += 1) {
    await sleep(END_PAUSE_MS);
    try {
      await QueueAction.end(id, end);
      return;
    } catch (error) {
      log.debug({ reason: reasonOf(error), id }, 'what came of an action is not written yet');
    }
  }
  log.warn({ id, ...end }, 'what came of an action on the queues could not be written');
}

async function endAction(id: number, end: ActionEnd): Promise<void> {
  try {
    await withTimeout(QueueAction.end(id, end), END_TIMEOUT_MS, 'the database');
  } catch {
    const again = inBackground(() => endAgain(id, end));
    ending.add(again);
    void again.finally(() => ending.delete(again));
  }
}

/** Resolves once nothing is left to be written: for a process that is about to end. */
export async function actionsWritten(): Promise<void> {
  await Promise.all(ending);
}

/**
 * Writes down that somebody is about to do something; what came of it is to be told by `end()`.
 *
 * @throws what Sequelize throws where the database does not answer: then it must not be done
 */
export async function beginAction(
  { source, account_id, account, key_id, ip }: Actor,
  { action, queue, job, filter }: Intent,
): Promise<BegunAction> {
  const key = key_id === null ? null : await NamedApiKey.scope(visibleTo(SYSTEM)).findByPk(key_id, { attributes: ['name'], raw: true });
  const { id } = await QueueAction.create({
    source,
    account_id,
    account: clip(account, MAX_NAME_CHARACTERS.account) ?? '',
    key_id,
    key_name: key?.name ?? null,
    ip,
    action,
    queue: clip(queue, MAX_NAME_CHARACTERS.queue),
    job: clip(job, MAX_NAME_CHARACTERS.job),
    filter: filter ?? null,
    request_id: context.getStore()?.request_id ?? null,
  });
  return { end: (end) => endAction(id, end) };
}

/** Writes down what was not done. Never throws: whoever may not is refused all the same. */
export async function recordRefusal(actor: Actor, intent: Intent, end: ActionEnd): Promise<void> {
  try {
    await (await beginAction(actor, intent)).end(end);
  } catch (error) {
    log.warn(
      { reason: reasonOf(error), action: intent.action, queue: intent.queue },
      'a refused action on the queues could not be written',
    );
  }
}

/** Actions, newest first. @param before the id behind which an earlier page has ended */
export async function readActions({
  before,
  queue,
  limit,
}: {
  before?: number | undefined;
  queue?: string | undefined;
  limit: number;
}): Promise<{ actions: QueueAction[]; next: number | null }> {
  const found = await QueueAction.page({
    limit: limit + 1,
    ...(before === undefined ? {} : { before }),
    ...(queue === undefined ? {} : { queue }),
  });
  const actions = found.slice(0, limit);
  return { actions, next: found.length > limit ? (actions.at(-1)?.id ?? null) : null };
}
