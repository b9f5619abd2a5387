// Ceiling: Express 5 and BullMQ: a job for each request, answered with the result that bullmq-worker.ts gives.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Queue, QueueEvents } from 'bullmq';
import express from 'express';
import { queueOptions, QUEUE } from './bullmq-queue';
import { serve } from './serve';

const queue = new Queue(QUEUE, queueOptions());
const events = new QueueEvents(QUEUE, queueOptions());

const app = express();
app.post('/api/account_creation_tokens/send-by-push', express.json(), async (request, response) => {
  const job = await queue.add('push', request.body, { jobId: `job-${randomUUID()}`, removeOnComplete: { age: 3600, count: 1000 } });
  response.json(await job.waitUntilFinished(events, 5000));
});
void events.waitUntilReady().then(() => serve(createServer(app)));
