import { existsSync } from 'node:fs';
import { defineConfig, type UserConfig } from 'tsdown';

/** Entry points of the package: those in the exports map, the command line, and the benchmark (not published). */
const entries = {
  index: 'src/index.ts',
  'array/index': 'src/array/index.ts',
  'kernel/index': 'src/toolkit/index.ts',
  'nn/index': 'src/nn/index.ts',
  'patch/index': 'src/patch/index.ts',
  'ai-sdk/index': 'src/ai-sdk/index.ts',
  'server/index': 'src/server/index.ts',
  'testing/index': 'src/testing/index.ts',
  'cli/main': 'src/cli/main.ts',
  'bench/main': 'bench/main.ts',
  'bench/peers/llama-cpp': 'bench/peers/llama-cpp.ts',
};

const shared = {
  format: 'esm',
  dts: true,
  sourcemap: true,
  fixedExtension: false,
  logLevel: 'warn',
} satisfies UserConfig;

/** The browser entry: one file that a page can import as it is, with the libraries in it. */
export const web = {
  ...shared,
  entry: { index: 'src/web/index.ts' },
  outDir: 'dist/web',
  platform: 'browser',
  target: 'es2022',
  noExternal: /./,
  outputOptions: { inlineDynamicImports: true },
} satisfies UserConfig;

export default defineConfig([
  {
    ...shared,
    entry: Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file))),
    platform: 'node',
    target: 'node20.19',
    clean: ['dist/*', '!dist/web'],
    outputOptions: { chunkFileNames: 'chunks/[name]-[hash].js' },
  },
  web,
]);
