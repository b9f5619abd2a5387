// A client with types made of the document: it is compiled, strictly, and does its work.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { startSystem, type Account, type System } from './helpers/system';

const root = path.join(__dirname, '..');
const source = path.join(__dirname, 'typed-client');
// Inside of the project, where its packages are found, and no package has it.
const built = path.join(root, 'dist', 'test', 'typed-client');
const run = promisify(execFile);

let system: System;
let admin: Account;
beforeAll(async () => {
  system = await startSystem();
  admin = await system.account('typed-admin', { admin: true });
  rmSync(built, { recursive: true, force: true });
  mkdirSync(path.join(built, 'node_modules'), { recursive: true });
  cpSync(source, built, { recursive: true });
  // openapi-typescript writes with TypeScript's own functions, which version 7 has no more: here it finds version 6 under that name.
  for (const [name, target] of [
    ['typescript', '@typescript/typescript6'],
    ['openapi-typescript', 'openapi-typescript'],
  ] as const) {
    symlinkSync(path.join(root, 'node_modules', target), path.join(built, 'node_modules', name));
  }
  writeFileSync(path.join(built, 'openapi.json'), (await system.api('/openapi.json')).text);
  const generator = path.join('node_modules', 'openapi-typescript', 'bin', 'cli.js');
  await run(process.execPath, ['--preserve-symlinks', '--preserve-symlinks-main', generator, 'openapi.json', '-o', 'api.d.ts'], {
    cwd: built,
  });
});
afterAll(() => system.stop());

const compile = async (file: string): Promise<string> => {
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = await run(process.execPath, [compiler, '-p', file], { cwd: built }).catch((error: { stdout: string }) => error);
  return stdout;
};

test('the program is compiled, and does with the server what it was made for', async () => {
  expect(await compile('tsconfig.json')).toBe('');
  const environment = { ...process.env, BASE_URL: `${system.url}/api`, API_KEY: admin.key };
  const { stdout } = await run(process.execPath, ['program.js'], { cwd: built, env: environment });
  expect(JSON.parse(stdout)).toEqual({
    expires: [null, null],
    account: ['typed-client', null, null, null],
    total: 2,
    device: null,
    push: 503,
    refused: ['The username field must be at least 6 characters.'],
    pong: 'pong',
  });
});

test.each([
  ['null where something is needed', "client.POST('/spaces', { body: { domain: null, super: true } })", 'null'],
  ['a body that lacks a member', "client.POST('/accounts', { body: { username: 'alice-at-home' } })", 'password'],
  [
    'a word that is not listed',
    "client.POST('/accounts', { body: { username: 'alice', password: 'p', algorithm: 'SHA-512' } })",
    'SHA-512',
  ],
  ['a path that is none', "client.GET('/space', {})", '/space'],
])('the types refuse %s', async (_name, call, fault) => {
  const head = "import createClient from 'openapi-fetch';\nimport type { paths } from './api';\nconst client = createClient<paths>();\n";
  writeFileSync(path.join(built, 'wrong.ts'), `${head}void ${call};\n`);
  writeFileSync(
    path.join(built, 'wrong.json'),
    JSON.stringify({ extends: './tsconfig.json', compilerOptions: { noEmit: true }, files: ['wrong.ts'] }),
  );
  const [first = ''] = (await compile('wrong.json')).split('\n');
  expect(first).toMatch(/^wrong\.ts\(4,/);
  expect(first).toContain(fault);
});
