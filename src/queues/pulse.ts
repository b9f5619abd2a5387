// Whether Redis answers right now, told by whatever it answers: where jobs are being added all the time nothing is asked for its own sake.
import { ReplyError } from 'ioredis';

interface Waiting {
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** The answers of one queue's node. */
export class Pulse {
  #waiting: Waiting[] = [];
  #underWay = 0;

  /** @param ask has Redis write something, so that a server that takes nothing does not pass for one that answers */
  constructor(readonly ask: () => Promise<unknown>) {}

  /** Waits for the next answer; asks for one where nothing is under way. @throws where the last that was under way has ended without an answer */
  next(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#underWay === 0) this.feel(this.ask());
    });
  }

  /** A write is under way, whose answer is an answer; so is a refusal. */
  feel(write: Promise<unknown>): void {
    this.#underWay += 1;
    write.then(
      () => this.#ended(({ resolve }) => resolve()),
      (error: unknown) => {
        if (error instanceof ReplyError) this.#ended(({ resolve }) => resolve());
        else if (this.#underWay === 1) this.#ended(({ reject }) => reject(error));
        else this.#underWay -= 1;
      },
    );
  }

  #ended(tell: (waiting: Waiting) => void): void {
    this.#underWay -= 1;
    for (const waiting of this.#waiting.splice(0)) tell(waiting);
  }
}
