// What is known of Flexisip's key beside the answers to it: a key that works today, and will not for good.
import { settings } from '../../../config';
import { reasonOf } from '../../infra/log';
import { isNamedKey } from '../credentials/secrets';
import { type KeyFault, type KeyLook, lookAtKey } from './key';
import { quoted, type Step, stepsOf, type Verdict } from './step';

const keyed = stepsOf('key');
const NAME = 'itself';
const FRESH = 'bin/flexiapi flexisip:config --write with the flexisip.conf, and --rotate, puts a fresh one into it';

/** The others are told by the server's answers. */
const SAID: Partial<Record<KeyFault['kind'], { verdict: Verdict; todo: string }>> = {
  person: { verdict: 'wrong', todo: FRESH },
  replaced: { verdict: 'warning', todo: `put the new one into flexisip.conf, and restart Flexisip; not at hand: ${FRESH}` },
  end: { verdict: 'warning', todo: FRESH },
  excess: { verdict: 'warning', todo: `whoever reads flexisip.conf could do that: ${FRESH}, which may do less` },
};

/** Looks at a key without using it; on a machine without the database at its form alone. */
export async function checkKey(text: string): Promise<Step[]> {
  if (isNamedKey(text) && settings.DATABASE_URL === undefined) return [];
  let look: KeyLook;
  try {
    look = await lookAtKey(text);
  } catch (error) {
    return [keyed.skipped(NAME, `this server's database does not answer: ${quoted(reasonOf(error))}`)];
  }
  const { faults, key } = look;
  if (faults.length === 0 && key) return [keyed.ok(NAME, `${key.name} of ${key.account.address}, without an end`)];
  return faults.flatMap(({ kind, why }) => {
    const said = SAID[kind];
    return said ? [keyed[said.verdict](NAME, why, said.todo)] : [];
  });
}
