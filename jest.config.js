// Tests need nothing running: test/setup starts PostgreSQL and Redis for them. Types are checked by tsc, not here.
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  // Packages that are ES modules only, which jest cannot require before Node 24.9.
  transformIgnorePatterns: ['/node_modules/(?!@apidevtools/|jose/)'],
  transform: {
    '^.+\\.[jt]s$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'commonjs' } }],
  },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist'],
  globalSetup: '<rootDir>/test/setup/global-setup.ts',
  globalTeardown: '<rootDir>/test/setup/global-teardown.ts',
  testTimeout: 60_000,
  // Files run real processes of their own: two cores bear two of them.
  maxWorkers: 2,
};
