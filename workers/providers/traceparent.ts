// Providers that speak HTTP/1.1 are told the trace that a request to them is part of: they may name it when they are asked about a message.
import { ClientRequest } from 'node:http';
import { tracing } from '../../src/infra/tracing';
import { currentExchange } from './exchange';

/** Sets the header on a request of a message, whichever library makes it. */
function tell(request: ClientRequest): void {
  const exchange = currentExchange();
  if (!exchange || request.headersSent || (exchange.host !== undefined && exchange.host !== request.host)) return;
  const traceparent = tracing()?.traceparent();
  if (traceparent !== undefined) request.setHeader('traceparent', traceparent);
}

type Method = (this: ClientRequest, ...given: unknown[]) => unknown;

/** From here on requests to providers have the header `traceparent`; where nothing is traced, nothing is changed. node:http has no hook before the head is made. */
export function tellTraces(): void {
  if (!tracing()) return;
  const methods = ClientRequest.prototype as unknown as Record<'write' | 'end', Method>;
  for (const name of ['write', 'end'] as const) {
    const method = methods[name];
    methods[name] = function told(...given) {
      tell(this);
      return method.apply(this, given);
    };
  }
}
