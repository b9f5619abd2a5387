// Loaded into a process before everything else (`node --require`): SIGUSR2 begins a CPU profile, and the next SIGUSR2 ends it and writes it to
// PROFILE_DIRECTORY under the number of the process. Nothing is in the way of a process that is not profiled.
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import path from 'node:path';

const file = path.join(process.env['PROFILE_DIRECTORY'] ?? '.', `${process.pid}.cpuprofile`);
let session: Session | undefined;

function begin(): void {
  session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start');
}

function end(running: Session): void {
  running.post('Profiler.stop', (_error, result) => {
    // It is whole once it is seen under its name.
    writeFileSync(`${file}.part`, JSON.stringify(result.profile));
    renameSync(`${file}.part`, file);
    running.disconnect();
  });
}

process.on('SIGUSR2', () => {
  if (session === undefined) begin();
  else {
    end(session);
    session = undefined;
  }
});
