// The worker of bullmq.ts: does nothing, and has as many jobs under way at once as `worker` has by default.
import { Worker } from 'bullmq';
import { queueOptions, QUEUE } from './bullmq-queue';

const worker = new Worker(QUEUE, () => Promise.resolve({}), { ...queueOptions(), concurrency: 50 });
process.once('disconnect', () => process.exit());
void worker.waitUntilReady().then(() => process.send?.('ready'));
