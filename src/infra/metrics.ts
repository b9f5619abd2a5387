// What /metrics shows. No path parameter, id or address is a label: each value would be a time series of its own, and name people.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of this process, Node's own among them. */
export const registry = new Registry();
collectDefaultMetrics({ register: registry });
// Gauges with the suffix of counters, which Prometheus' own rules refuse (https://prometheus.io/docs/practices/naming/); they are the sums of the
// series of the same names without it.
for (const sum of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${sum}_total`);

const requests = new Histogram({
  name: 'flexiapi_http_request_duration_seconds',
  help: 'Duration of the requests under /api, by endpoint',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers: [registry],
});

/**
 * The durations of one endpoint's answers.
 *
 * @param route the endpoint's path as declared, with its parameters' names
 * @returns to be called with the status and the seconds of each answer
 */
export function durationsOf(method: string, route: string): (status: number, seconds: number) => void {
  const byStatus = new Map<number, Histogram.Internal<'method' | 'route' | 'status'>>();
  return (status, seconds) => {
    let durations = byStatus.get(status);
    if (!durations) byStatus.set(status, (durations = requests.labels({ method: method.toUpperCase(), route, status })));
    durations.observe(seconds);
  };
}

export const queueJobs = new Gauge({
  name: 'flexiapi_queue_jobs',
  help: 'Jobs in a queue, by state',
  labelNames: ['queue', 'state'],
  registers: [registry],
});
export const queueOldest = new Gauge({
  name: 'flexiapi_queue_oldest_waiting_seconds',
  help: 'How long the oldest waiting job of a queue has waited',
  labelNames: ['queue'],
  registers: [registry],
});
export const queueWorkers = new Gauge({
  name: 'flexiapi_queue_workers',
  help: 'Workers that serve a queue',
  labelNames: ['queue'],
  registers: [registry],
});
export const taskAge = new Gauge({
  name: 'flexiapi_task_age_seconds',
  help: 'How long ago a recurring task was last done',
  labelNames: ['task'],
  registers: [registry],
});
export const workerCountKnown = new Gauge({
  name: 'flexiapi_queue_workers_known',
  help: '0 where the user of Redis may not list clients, so that flexiapi_queue_workers is missing',
  registers: [registry],
});
export const serverUp = new Gauge({
  name: 'flexiapi_server_up',
  help: '1 where PostgreSQL or Redis answers this process',
  labelNames: ['server'],
  registers: [registry],
});
/** A key's name is a label, since whoever is woken up must know which; its account is not. */
export const keyExpires = new Gauge({
  name: 'flexiapi_api_key_expires_seconds',
  help: 'Until a named API key expires; negative once it has. Of several with one name the first to end',
  labelNames: ['name'],
  registers: [registry],
});
export const keysRefused = new Counter({
  name: 'flexiapi_api_key_refused_total',
  help: 'Requests of this process whose named API key was known and refused: expired, replaced, from another address, without the scope, or of an account that may not do this. The 1000 names that were refused last',
  labelNames: ['name'],
  registers: [registry],
});
export const pushAnswers = new Counter({
  name: 'flexiapi_push_answers_total',
  help: 'What came of the pushes that requests waited for',
  labelNames: ['outcome'],
  registers: [registry],
});
export const statisticsBatch = new Histogram({
  name: 'flexiapi_statistics_batch_events',
  help: 'Statistics events that shared one statement',
  labelNames: ['kind'],
  buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
  registers: [registry],
});
