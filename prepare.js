// npm's `prepare`, the last step of every `npm ci`: compiles to dist/. An installation without the dev dependencies cannot, and runs a dist/
// that was built elsewhere, as the image does.
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');
const { devDependencies } = require('./package.json');

function isInstalled(name) {
  try {
    return require.resolve(`${name}/package.json`) !== '';
  } catch {
    return false;
  }
}

// Not the compiler alone: npm installs it without the types where another package names it as an optional peer.
const needed = Object.keys(devDependencies).filter((name) => name === 'typescript' || name.startsWith('@types/'));

if (!needed.every(isInstalled)) {
  const advice = existsSync(path.join(__dirname, 'dist', 'src', 'web.js'))
    ? 'dist/ stays as it was built'
    : 'dist/ is missing: build it with them (npm ci), then leave them out';
  process.stdout.write(`The dev dependencies are not installed: ${advice}.\n`);
} else {
  const compiler = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  for (const project of ['tsconfig.build.json', path.join('src', 'browser')]) {
    const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: __dirname, stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}
