// The log: JSON lines, or coloured text in a developer's terminal. error = someone must act, warn = degraded, info = a line a request or job.
import { inspect } from 'node:util';
import pino from 'pino';
import pretty from 'pino-pretty';
import { settings } from '../../config';
import { context } from './context';

const forPeople = process.stdout.isTTY && settings.NODE_ENV !== 'production';

export const log = pino(
  {
    level: settings.LOG_LEVEL,
    base: { pid: process.pid },
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
  forPeople ? pretty({ ignore: 'pid,hostname', sync: true }) : pino.destination({ sync: false }),
);

/** What an error says, for a line that needs no stack. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : inspect(error));
