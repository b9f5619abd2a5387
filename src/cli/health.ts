// The image's health check: asks /health/live of the `web` beside it. Exit 0: it answers; 1: it does not, with the reason.
import { askLive } from '../infra/liveness';

askLive().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
