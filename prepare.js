// npm's `prepare`, the last step of every `npm ci`: compiles src, workers and bench to dist/. An installation without the dev dependencies has
// no compiler and runs a dist/ that was built elsewhere, as the image does.
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');

function findCompiler() {
  try {
    return path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  } catch {
    return undefined;
  }
}

const compiler = findCompiler();
if (compiler === undefined) {
  const built = existsSync(path.join(__dirname, 'dist', 'src', 'web.js'));
  process.stdout.write(
    built
      ? 'typescript is not installed: dist/ stays as it was built.\n'
      : 'typescript is not installed and dist/ is missing: build it with the dev dependencies (npm ci), then leave them out.\n',
  );
} else {
  for (const project of ['tsconfig.build.json', path.join('src', 'browser')]) {
    const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: __dirname, stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}
