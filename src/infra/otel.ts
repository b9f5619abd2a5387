// OpenTelemetry, as tracing.ts loads it.
import { context, propagation, ROOT_CONTEXT, type SpanContext, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { core, NodeSDK, resources, tracing as sdk } from '@opentelemetry/sdk-node';
import { BullMQOtel } from 'bullmq-otel';
import { log } from './log';
import type { RequestSpan, Tracing } from './tracing';
import { VERSION } from './version';

const TRACER = 'flexisip-account-api';
/** A collector that hangs holds up later spans for so long, and those that are too many are lost. */
const EXPORT_TIMEOUT_MS = 3000;
const EXPORT_INTERVAL_MS = 1000;
const MAX_QUEUED_SPANS = 4096;
const WARNING_INTERVAL_MS = 60_000;

/**
 * What a span may say. All else that a library sets, exceptions and their texts among it, is left out: it could name a person, and a URL of APNs holds a
 * device's token.
 */
const ALLOWED = new Set([
  'http.request.method',
  'http.response.status_code',
  'http.route',
  'flexiapi.request_id',
  'flexiapi.provider',
  'flexiapi.outcome',
  'flexiapi.reason',
  'flexiapi.attempts',
  'bullmq.queue.name',
  'bullmq.queue.operation',
  'bullmq.job.id',
  'bullmq.job.name',
  'bullmq.job.attempts.made',
  'bullmq.worker.id',
]);

type Spans = Parameters<sdk.SpanExporter['export']>[0];
type Span = Spans[number];

const onlyAllowed = (span: Span): Span =>
  Object.create(span, {
    attributes: { value: Object.fromEntries(Object.entries(span.attributes).filter(([name]) => ALLOWED.has(name))) },
    events: { value: [] },
    links: { value: span.links.map(({ context: linked }) => ({ context: linked })) },
    status: { value: { code: span.status.code } },
  }) as Span;

/** Sends spans with what they may say. */
class Exporter implements sdk.SpanExporter {
  readonly #inner: OTLPTraceExporter;
  #warned = -Infinity;

  constructor(endpoint: string) {
    this.#inner = new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, timeoutMillis: EXPORT_TIMEOUT_MS });
  }

  export(spans: Spans, done: Parameters<sdk.SpanExporter['export']>[1]): void {
    this.#inner.export(spans.map(onlyAllowed), (result) => {
      if (result.error && performance.now() - this.#warned > WARNING_INTERVAL_MS) {
        this.#warned = performance.now();
        log.warn(
          { reason: (result.error as { code?: unknown }).code ?? result.error.name },
          'traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT',
        );
      }
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush();
  }
}

/** A trace begins with a request or a job: BullMQ's looks for the next job, one every few seconds a queue, are none. */
const beginsTrace: sdk.Sampler = {
  shouldSample: (_context, _traceId, _name, kind) => ({
    decision:
      kind === SpanKind.SERVER || kind === SpanKind.CONSUMER || kind === SpanKind.PRODUCER
        ? sdk.SamplingDecision.RECORD_AND_SAMPLED
        : sdk.SamplingDecision.NOT_RECORD,
  }),
  toString: () => 'requests and jobs',
};

/** As the header says it (https://www.w3.org/TR/trace-context/). */
const header = ({ traceId, spanId, traceFlags }: SpanContext): string =>
  `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;

/**
 * Begins tracing.
 *
 * @param endpoint without a slash at its end; traces go to `/v1/traces` below it, as JSON
 */
export function openTracing(service: string, endpoint: string): Tracing {
  const exporter = new Exporter(endpoint);
  const node = new NodeSDK({
    // No name of the machine, of its user or of the command.
    autoDetectResources: false,
    resource: resources.resourceFromAttributes({ 'service.name': service, 'service.version': VERSION }),
    sampler: new sdk.ParentBasedSampler({ root: beginsTrace }),
    // No baggage: it would be what a stranger wrote.
    textMapPropagator: new core.W3CTraceContextPropagator(),
    spanProcessors: [
      new sdk.BatchSpanProcessor(exporter, {
        scheduledDelayMillis: EXPORT_INTERVAL_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
        maxQueueSize: MAX_QUEUED_SPANS,
      }),
    ],
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  node.start();
  const tracer = trace.getTracer(TRACER, VERSION);

  const request = (method: string, traceparent: unknown, requestId: string): RequestSpan => {
    // Without its tracestate, which may hold anything.
    const given = typeof traceparent === 'string' ? { traceparent } : {};
    const parent = propagation.extract(ROOT_CONTEXT, given);
    const span = tracer.startSpan(
      method,
      { kind: SpanKind.SERVER, attributes: { 'http.request.method': method, 'flexiapi.request_id': requestId } },
      parent,
    );
    const around = trace.setSpan(parent, span);
    return {
      run: (work) => context.with(around, work),
      end: (route, status) => {
        if (route !== undefined) {
          span.updateName(`${method} ${route}`);
          span.setAttribute('http.route', route);
        }
        if (status !== undefined) span.setAttribute('http.response.status_code', status);
        if (status === undefined || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  };

  const client: Tracing['client'] = (name, attributes, work, outcome) =>
    tracer.startActiveSpan(name, { kind: SpanKind.CLIENT, attributes: { ...attributes } }, async (span) => {
      try {
        const result = await work();
        const { attributes: found, isError } = outcome(result);
        span.setAttributes({ ...found });
        if (isError) span.setStatus({ code: SpanStatusCode.ERROR });
        return result;
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });

  return {
    telemetry: new BullMQOtel({ tracerName: TRACER, version: VERSION }),
    request,
    client,
    traceparent: () => {
      const span = trace.getSpan(context.active())?.spanContext();
      return span && trace.isSpanContextValid(span) ? header(span) : undefined;
    },
    stop: () => node.shutdown(),
  };
}
