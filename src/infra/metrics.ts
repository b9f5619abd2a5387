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

const responses = new Counter({
  name: 'flexiapi_http_responses_total',
  help: 'Every answer over HTTP, refusals and pages among them, by status (none: the client left before there was one) and part',
  labelNames: ['method', 'status', 'part'],
  registers: [registry],
});
/** What strangers write there is no label. */
const COUNTED_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Beginnings of paths by what they are part of; what begins with none is a page, or nothing at all. */
const PARTS: readonly (readonly [start: RegExp, part: string])[] = [
  [/^\/api(?:[/?]|$)/i, 'api'],
  [/^\/health\//, 'health'],
  [/^\/metrics(?:\?|$)/, 'metrics'],
  [/^\/(?:assets|queues\/static)\//, 'assets'],
];
// Of a series that begins with its first error Prometheus sees no increase.
for (const method of COUNTED_METHODS) for (const part of ['api', 'pages']) responses.inc({ method, status: '500', part }, 0);
const countedResponses = new Map<string, Counter.Internal>();

/** A method as it may be a label: one that is known, or `other`. */
export const methodLabel = (method: string): string => (COUNTED_METHODS.has(method) ? method : 'other');

/**
 * Counts an answer, however it came about.
 *
 * @param method as the client wrote it; empty where its request could not be read
 * @param target path and query, as the client wrote them
 * @param status undefined: no head was sent
 */
export function countResponse(method: string, target: string, status: number | undefined): void {
  const part = method === '' ? 'none' : (PARTS.find(([start]) => start.test(target))?.[1] ?? 'pages');
  const labels = { method: methodLabel(method), status: String(status ?? 'none'), part };
  const key = `${labels.method} ${labels.status} ${part}`;
  let counted = countedResponses.get(key);
  if (!counted) countedResponses.set(key, (counted = responses.labels(labels)));
  counted.inc();
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
export const keyRefusedAge = new Gauge({
  name: 'flexiapi_api_key_refused_age_seconds',
  help: 'How long ago a named API key was refused that was within the last hour. Of several with one name the last refusal',
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

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
export const jobWait = new Histogram({
  name: 'flexiapi_job_wait_seconds',
  help: 'How long jobs that this worker took had waited',
  labelNames: ['queue', 'kind'],
  buckets: SECONDS_BUCKETS,
  registers: [registry],
});
export const jobRun = new Histogram({
  name: 'flexiapi_job_run_seconds',
  help: 'How long jobs of this worker took',
  labelNames: ['queue', 'kind'],
  buckets: SECONDS_BUCKETS,
  registers: [registry],
});
export const jobOutcomes = new Counter({
  name: 'flexiapi_jobs_total',
  help: 'Jobs that this worker has ended; outcome: of a send its own, of others done or error; put_back: of a newer release, left for its worker',
  labelNames: ['queue', 'kind', 'outcome'],
  registers: [registry],
});
export const providerTime = new Histogram({
  name: 'flexiapi_provider_seconds',
  help: 'How long a provider took for a message, all attempts and the pauses between them',
  labelNames: ['provider'],
  buckets: SECONDS_BUCKETS,
  registers: [registry],
});
export const providerSends = new Counter({
  name: 'flexiapi_provider_sends_total',
  help: 'What came of the messages for a provider; held: not tried, since it keeps failing; recipient_refused: the recipient is at fault',
  labelNames: ['provider', 'outcome'],
  registers: [registry],
});
export const providerBreaker = new Gauge({
  name: 'flexiapi_provider_breaker',
  help: '1 for the state of a breaker: closed (all is sent), open (nothing is tried for some seconds), half_open (one message is a probe)',
  labelNames: ['breaker', 'state'],
  registers: [registry],
});
export const sendsUnrecorded = new Counter({
  name: 'flexiapi_sends_unrecorded_total',
  help: 'Sends whose end this process could not write into the ledger',
  registers: [registry],
});
export const poolConnections = new Gauge({
  name: 'flexiapi_database_pool_connections',
  help: 'Connections to PostgreSQL of this process, by pool; state: used, idle, or limit for how many there may be',
  labelNames: ['pool', 'state'],
  registers: [registry],
});
export const poolWaiting = new Gauge({
  name: 'flexiapi_database_pool_waiting',
  help: 'Who waits for a connection of a pool',
  labelNames: ['pool'],
  registers: [registry],
});
export const uncounted = new Gauge({
  name: 'flexiapi_statistics_backlog',
  help: 'Marks of domains and times whose statistics are to be counted anew; 10000 at most',
  registers: [registry],
});
export const partitionsAhead = new Gauge({
  name: 'flexiapi_partitions_ahead_months',
  help: 'Months after the current one, without a gap, that have their partition; -1 where the current one has none',
  labelNames: ['table'],
  registers: [registry],
});
export const redisMemory = new Gauge({
  name: 'flexiapi_redis_memory_bytes',
  help: 'Memory that Redis uses',
  registers: [registry],
});
export const redisMemoryLimit = new Gauge({
  name: 'flexiapi_redis_memory_limit_bytes',
  help: 'Memory that Redis may use (maxmemory); 0: no limit',
  registers: [registry],
});
export const redisEviction = new Gauge({
  name: 'flexiapi_redis_eviction',
  help: '1 for the policy by which Redis evicts keys where its memory is full; any but noeviction loses jobs',
  labelNames: ['policy'],
  registers: [registry],
});
export const certificateExpires = new Gauge({
  name: 'flexiapi_certificate_expires_seconds',
  help: 'Until a certificate that this process reads expires; use: web (TLS_CERT_FILE) or apns (APNS_CERT_FILE)',
  labelNames: ['use'],
  registers: [registry],
});
