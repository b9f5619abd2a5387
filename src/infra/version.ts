// Which version of the program this is: package.json says it, once for the log, /health/ready, the documentation and the command line.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The nearest package.json above this file: it lies beside `src`, or once compiled beside `dist`. */
function findPackageFile(directory: string): string {
  const file = path.join(directory, 'package.json');
  return existsSync(file) ? file : findPackageFile(path.join(directory, '..'));
}

/** The program's version as package.json has it, such as `0.1.0`. */
export const VERSION: string = (JSON.parse(readFileSync(findPackageFile(__dirname), 'utf8')) as { version: string }).version;
