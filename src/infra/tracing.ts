// Traces, where OTEL_EXPORTER_OTLP_ENDPOINT is set: a request, the jobs that it adds and what providers are asked are one trace. Nothing of OpenTelemetry is loaded
// where it is not. No span has a path, an address, a header or a text that somebody wrote: what may be in one is a list (otel.ts).
import type { Telemetry } from 'bullmq';
import { settings } from '../../config';
import { log, reasonOf } from './log';
import { withTimeout } from './timeout';

/** Of a span; their names are a list (otel.ts). */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** The span of one request. */
export interface RequestSpan {
  /** Does work that is part of it. */
  run: (work: () => void) => void;
  /** Ends it. @param route as declared, with its parameters' names; undefined: none was found @param status undefined: no head was sent */
  end: (route: string | undefined, status: number | undefined) => void;
}

/** What a process that traces can do. */
export interface Tracing {
  /** For BullMQ's queues and workers: jobs carry the trace. */
  telemetry: Telemetry;
  /** Begins a request's span, as part of the trace that its `traceparent` names where there is one. */
  request: (method: string, traceparent: unknown, requestId: string) => RequestSpan;
  /** Does work in a span of its own, as the client of somebody. @param outcome attributes of what came of it, and whether it failed */
  client: <T>(
    name: string,
    attributes: SpanAttributes,
    work: () => Promise<T>,
    outcome: (result: T) => { attributes: SpanAttributes; isError: boolean },
  ) => Promise<T>;
  /** The header `traceparent` for whoever is asked here; undefined outside of any span. */
  traceparent: () => string | undefined;
  /** Sends what is left. */
  stop: () => Promise<void>;
}

const STOP_TIMEOUT_MS = 1500;

let current: Tracing | undefined;

/** Undefined where nothing is traced. */
export const tracing = (): Tracing | undefined => current;

/**
 * Begins tracing, where it is set; before the first queue is opened. What goes wrong is logged: nobody waits for traces.
 *
 * @param service what the process is called in traces
 */
export async function startTracing(service: 'flexiapi-web' | 'flexiapi-worker'): Promise<void> {
  const endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return;
  try {
    const { openTracing } = await import('./otel.js');
    current = openTracing(service, endpoint);
  } catch (error) {
    log.error({ reason: reasonOf(error) }, 'nothing is traced');
  }
}

/** Sends what is left; a collector that does not answer is not waited for. */
export async function stopTracing(): Promise<void> {
  const ended = current;
  current = undefined;
  if (ended) await withTimeout(ended.stop(), STOP_TIMEOUT_MS, 'the last traces').catch(() => undefined);
}
