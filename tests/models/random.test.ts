// Random checkpoints against transformers: `RANDOM_MODELS=folder`, which tools/goldens/random_configs.py has filled.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { configDifference } from '../../src/models/files/config-difference.ts';
import { parseModel } from '../../src/models/registry.ts';
import { difference } from './compare.ts';
import { cpuDevice, jsDevice } from './devices.ts';
import { withModel } from './from-files.ts';

const root = process.env.RANDOM_MODELS ?? '';
const device = cpuDevice ?? jsDevice;

interface Golden {
  readonly vocab: number;
  readonly tokens: readonly number[];
  readonly largestLogit: number;
}

const json = <T>(folder: string, file: string): T =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')) as T;

describe.skipIf(root === '')(
  `random checkpoints${root === '' ? ' (skipped: RANDOM_MODELS names no folder)' : ''}`,
  () => {
    it.each(root === '' ? [''] : readdirSync(root).sort())('%s', async (name) => {
      const folder = join(root, name);
      const { tokens, vocab, largestLogit } = json<Golden>(folder, 'golden.json');
      const want = new Float32Array(Uint8Array.from(readFileSync(join(folder, 'logits.bin'))).buffer);
      const tolerance = 1e-4 * Math.max(5, largestLogit);
      const files = existsSync(join(folder, 'model.gguf')) ? ['', 'model.gguf'] : [''];
      for (const file of files) {
        const size = { capacity: tokens.length, maxRows: tokens.length };
        await withModel(device, join(folder, file), size, async (runner) => {
          for (const pieces of [[tokens.length], [11, 5, 1]]) {
            const report = difference(await runner.logits(tokens, pieces), want, vocab);
            expect(report.max, `${file} ${report.worst}; mean ${report.mean}`).toBeLessThanOrEqual(tolerance);
          }
        });
      }
      const plain = parseModel(json(folder, 'config.json'), name).config;
      for (const variant of json<readonly object[]>(folder, 'variants.json')) {
        const why = configDifference(plain, parseModel(variant, name).config);
        expect(why, JSON.stringify(variant)).toBeUndefined();
      }
    });
  },
);

afterAll(() => {
  jsDevice.dispose();
  cpuDevice?.dispose();
});
