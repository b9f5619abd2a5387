// One log line an outage of a Redis, and one for its end, however many connections a process has to it and however often each of them fails.
import { inBackground } from './context';
import { log } from './log';

/** A server that goes and comes within this time has not come back. */
const CALM_MS = 3000;

/** What the connections of a process that go by one name have met. */
export class Outage {
  #lasts = false;
  #troubledAt = -Infinity;

  constructor(readonly name: string) {}

  /** Something has failed. @param reason a code, or an error's text: no address with a password */
  trouble(reason: string): void {
    this.#troubledAt = performance.now();
    if (this.#lasts) return;
    this.#lasts = true;
    // Whoever's command met it first: it is everybody's.
    inBackground(() => log.warn({ reason }, `${this.name} does not answer`));
  }

  /** Something has worked. */
  calm(): void {
    if (!this.#lasts || performance.now() - this.#troubledAt < CALM_MS) return;
    this.#lasts = false;
    inBackground(() => log.info(`${this.name} answers again`));
  }
}

const outages = new Map<string, Outage>();

/** The outages of the Redis that the log calls so. */
export function outagesOf(name: string): Outage {
  let outage = outages.get(name);
  if (!outage) outages.set(name, (outage = new Outage(name)));
  return outage;
}
