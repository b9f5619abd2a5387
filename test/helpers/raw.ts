// HTTP requests with exactly the headers that a test names: fetch adds some of its own, and lets nobody say what a browser says.
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { checkAnswer } from './contract';

export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** Of a JSON answer; empty otherwise. */
  json: Record<string, unknown>;
}

/** @throws where an answer under /api is not as its endpoint declares */
export function send(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined || 'transfer-encoding' in headers ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const request = httpRequest(url, { method, headers: { ...length, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        const contentType = response.headers['content-type'] ?? null;
        try {
          checkAnswer({ method, url, status, contentType, text });
          const isJson = text !== '' && contentType === 'application/json';
          resolve({ status, headers: response.headers, text, json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} });
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}
