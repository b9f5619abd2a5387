// The three providers that speak HTTP, each as a fake, and a worker of its own for each test: no breaker and no connection of another one.
import { Jobs } from './jobs';
import { startOutsideWorld, type OutsideWorld } from './outside';
import { startSystem, type System } from './system';

/** As the outside world calls them. */
export const PROVIDER_NAMES = ['apnsDev', 'fcm', 'twilio'] as const;
export type Provider = (typeof PROVIDER_NAMES)[number];

/** What is there while a test runs. */
export interface Stage {
  world: OutsideWorld;
  system: System;
  /** Has a message sent to a device's token, or a phone number. @returns its outcome, or the text that its job failed with */
  send: Record<Provider, (to: string, seconds?: number) => Promise<string>>;
}

/** Sets the stage for the tests of a file; its members are there once the first test begins. */
export function workerForEachTest(): Stage {
  const stage = {} as Stage;
  const jobs = {} as Record<'push' | 'sms', Jobs>;
  const holders = new Map<string, Promise<number>>();
  const hold = async (phone: string): Promise<number> => {
    const { id } = await stage.system.account(`holder-${phone}`);
    await stage.system.rows("UPDATE accounts SET phone = $2, confirmation_key = '1234' WHERE id = $1", [id, phone]);
    return id;
  };
  const notification = { kind: 'notification', type: 'message', call_id: null };
  stage.send = {
    apnsDev: (prid, seconds) =>
      jobs.push.outcome({ ...notification, provider: 'apns.dev', param: 'TEAM.org.linphone.phone', prid }, seconds),
    fcm: (prid, seconds) => jobs.push.outcome({ ...notification, provider: 'fcm', param: 'linphone-test', prid }, seconds),
    twilio: async (phone, seconds) => {
      if (!holders.has(phone)) holders.set(phone, hold(phone));
      return jobs.sms.outcome({ kind: 'account_recovery', account_id: await holders.get(phone), language: 'en' }, seconds);
    },
  };
  beforeAll(async () => {
    stage.world = await startOutsideWorld();
    stage.system = await startSystem({ webs: 0, workers: 0, environment: stage.world.environment });
    jobs.push = new Jobs(stage.system, 'push');
    jobs.sms = new Jobs(stage.system, 'sms');
  });
  afterAll(async () => {
    await Promise.all([jobs.push.close(), jobs.sms.close()]);
    await stage.system.stop();
    await stage.world.close();
  });
  beforeEach(async () => {
    for (const name of PROVIDER_NAMES) stage.world[name].reset();
    await stage.system.startWorker();
  });
  afterEach(async () => {
    await stage.system.workers.pop()?.end('SIGKILL');
  });
  return stage;
}
