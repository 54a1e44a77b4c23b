import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { useSwiftshader } from './tools/swiftshader.mjs';

useSwiftshader();

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    // Examples import the package by name; tests run them on the sources.
    alias: [
      { find: /^ingot\/(ai-sdk|array|nn|patch|testing|web)$/, replacement: source('$1/index.ts') },
      { find: /^ingot\/kernel$/, replacement: source('toolkit/index.ts') },
      { find: /^ingot$/, replacement: source('index.ts') },
    ],
  },
  test: {
    setupFiles: ['tools/fuzz-seed.mjs'],
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts', 'bench/**/*.test.ts'],
    reporters: ['default', './tools/list-skipped.mjs'],
    testTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
