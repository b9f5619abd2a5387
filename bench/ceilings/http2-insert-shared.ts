// Ceiling: HTTP/2 with TLS by node:http2 alone; look-ups and INSERTs of one turn of the event loop share a statement.
import { readFileSync } from 'node:fs';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { store } from './insert-shared';
import { readMessage } from './messages';
import { serve } from './serve';
import { findCaller } from './shared-callers';
import { hashed } from './statements';

const [cert, key] = ['TLS_CERT_FILE', 'TLS_KEY_FILE'].map((name) => readFileSync(process.env[name] ?? ''));

async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, text: string): Promise<void> {
  const caller = await findCaller(hashed(String(headers['x-api-key'])));
  const message = readMessage(JSON.parse(text));
  const status = !caller?.admin ? 401 : message ? 200 : 422;
  if (status === 200 && message) await store(message);
  stream.respond({ ':status': status, 'content-type': 'application/json' });
  stream.end('{}');
}

const server = createSecureServer({ cert, key });
server.on('stream', (stream, headers) => {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => (text += chunk));
  stream.on('end', () => void answer(stream, headers, text).catch(() => stream.close()));
});
serve(server);
