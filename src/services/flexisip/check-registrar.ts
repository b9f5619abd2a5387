// Looks at the registrar's Redis as Flexisip uses it, reading alone.
import { reasonOf } from '../../infra/log';
import { closeRedis, connectRedis, whenReady } from '../../infra/redis';
import { withTimeout } from '../../infra/timeout';
import { quoted, type Step, stepsOf } from './step';

const registrar = stepsOf('registrar');
const ANSWER_TIMEOUT_MS = 5000;
/** One look at so many keys, among which a registration may be. */
const SCANNED = 1000;

/** What came of it. */
export interface RegistrarOutcome {
  steps: Step[];
  /** Redis' clock less ours, in milliseconds. */
  clockMs?: number;
}

/** @param url of the Redis that Flexisip is told to use */
export async function checkRegistrar(url: string): Promise<RegistrarOutcome> {
  const redis = connectRedis('guest', url, "the registrar's Redis");
  let refusal: unknown;
  redis.on('error', (error) => (refusal = error));
  const asked = async <T>(answer: Promise<T>): Promise<T> => withTimeout(answer, ANSWER_TIMEOUT_MS, 'Redis');
  try {
    await asked(whenReady(redis));
    const steps = [registrar.ok('PING', await asked(redis.ping()))];
    const before = Date.now();
    const [seconds = 0, microseconds = 0] = (await asked(redis.time())).map(Number);
    const clockMs = seconds * 1000 + microseconds / 1000 - (before + Date.now()) / 2;
    const [, keys] = 'scan' in redis ? await asked(redis.scan('0', 'MATCH', 'fs:*', 'COUNT', SCANNED)) : ['0', []];
    const [one] = keys;
    const type = one === undefined ? 'none' : await asked(redis.type(one));
    if (one === undefined) steps.push(registrar.ok('registrations', 'none was seen yet'));
    else if (type === 'hash') steps.push(registrar.ok('registrations', `there are some, such as ${quoted(one)}`));
    else
      steps.push(
        registrar.wrong('registrations', `${quoted(one)} is a ${type} and no hash`, "this is not the Redis of Flexisip's registrar"),
      );
    return { steps, clockMs };
  } catch (error) {
    const reason = refusal ?? error;
    const isRefused = /WRONGPASS|NOAUTH|NOPERM/.test(reasonOf(reason));
    return {
      steps: [
        registrar.wrong(
          'connection',
          quoted(reasonOf(reason)),
          isRefused
            ? 'set redis-auth-password, and redis-auth-user where it is not the default user, to what FLEXISIP_REDIS_URL has'
            : 'let this Redis be reached from here, and the server of FLEXISIP_REDIS_URL and of module::Registrar be the same',
        ),
      ],
    };
  } finally {
    await closeRedis(redis);
  }
}
