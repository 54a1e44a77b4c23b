import { existsSync } from 'node:fs';
import { defineConfig } from 'tsdown';

/** Entry points of the package: those in the exports map, the command line, and the benchmark (not published). */
const entries = {
  index: 'src/index.ts',
  'array/index': 'src/array/index.ts',
  'nn/index': 'src/nn/index.ts',
  'ai-sdk/index': 'src/ai-sdk/index.ts',
  'server/index': 'src/server/index.ts',
  'testing/index': 'src/testing/index.ts',
  'cli/main': 'src/cli/main.ts',
  'bench/main': 'bench/main.ts',
  'bench/peers/llama-cpp': 'bench/peers/llama-cpp.ts',
};

export default defineConfig({
  entry: Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file))),
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  dts: true,
  sourcemap: true,
  clean: true,
  fixedExtension: false,
  logLevel: 'warn',
  outputOptions: { chunkFileNames: 'chunks/[name]-[hash].js' },
});
