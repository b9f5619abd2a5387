// The log: JSON lines, or coloured text in a developer's terminal. error = someone must act, warn = degraded, info = a line a request or job.
import { inspect } from 'node:util';
import pino from 'pino';
import { settings } from '../../config';
import { context } from './context';
import { VERSION } from './version';

/** Coloured text where a person looks on; its package is loaded there alone. */
function openOutput(): pino.DestinationStream {
  if (!process.stdout.isTTY || settings.NODE_ENV === 'production') return pino.destination({ sync: false });
  const pretty = require('pino-pretty') as typeof import('pino-pretty');
  return pretty({ ignore: 'pid,hostname,version', sync: true });
}

const output = openOutput();
const common = { level: settings.LOG_LEVEL, base: { pid: process.pid, version: VERSION } };

/** The process's log. `err` is an error with its stack; a request's id is added by itself. */
export const log = pino(
  {
    ...common,
    mixin: () => {
      const current = context.getStore();
      return current ? { request_id: current.request_id } : {};
    },
    // Nothing of ours logs these on purpose; a library's error object may carry them.
    redact: {
      paths: [
        'err.config',
        'err.request',
        'err.response',
        'err.parameters',
        'err.original.parameters',
        'err.parent',
        'err.sql',
        '*.authorization',
        '*.cookie',
        '*["x-api-key"]',
      ],
      remove: true,
    },
  },
  output,
);

/** The same for lines that have nothing but what their one caller puts into them, of which there are thousands a second: nothing is added, nothing looked for. */
export const plainLog = pino(common, output);

/** The same on stderr, for the command line, whose stdout is for what it was asked for. */
export const openErrorLog = (): pino.Logger => pino({ ...common, level: 'info' }, pino.destination({ dest: 2, sync: true }));

/** What an error says, for a line of the log that needs no stack; of what is no Error, what Node would print. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : inspect(error));

/** The code of an error of the system, of OpenSSL or of a server (`ENOENT`); empty where there is none. */
export const codeOf = (error: unknown): string => (error as { code?: string } | undefined)?.code ?? '';
