// The real SmolLM2 file against what transformers makes of it (tools/goldens/quant_smollm2.py). Needs the model
// file: `ingot pull smollm2:135m` puts it where this looks.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findLocal } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { dequantizeSource } from '../quant/reference.ts';
import { readVector } from './chunks.ts';
import { openCheckpoint } from './open.ts';
import { dimensions, readRows } from './tensor.ts';

const path = await findLocal('smollm2:135m');
const reason = path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : '';
const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/quant/smollm2.json', import.meta.url), 'utf8'),
) as {
  config: Record<string, unknown>;
  samples: { name: string; shape: number[]; sum: number; rows: { row: number; start: number[] }[] }[];
};

/** A tensor as f32, rows in order. */
async function values(
  checkpoint: Awaited<ReturnType<typeof openCheckpoint>>,
  name: string,
): Promise<Float32Array> {
  const tensor = checkpoint.describe(name);
  if (tensor.shape.length === 1 || tensor.kind !== 'source') return readVector(tensor);
  const { rows, columns } = dimensions(tensor.shape);
  const stored = dequantizeSource(
    tensor.format,
    await readRows(tensor.slices[0] ?? [], 0, rows),
    rows,
    columns,
  );
  const ordered = new Float32Array(stored.length);
  for (let row = 0; row < rows; row++) {
    const from = (tensor.rowMap?.[row] ?? row) * columns;
    ordered.set(stored.subarray(from, from + columns), row * columns);
  }
  return ordered;
}

describe.skipIf(path === undefined)(`SmolLM2 weights${reason}`, () => {
  it('has the config and the weights that transformers reads', async () => {
    const checkpoint = await modelCheckpoint(openCheckpoint(path as string));
    for (const [key, value] of Object.entries(golden.config))
      expect([key, checkpoint.config[key]]).toEqual([key, value]);
    for (const { name, shape, sum, rows } of golden.samples) {
      expect(checkpoint.describe(name).shape).toEqual(shape);
      const found = await values(checkpoint, name);
      const columns = shape.at(-1) as number;
      for (const { row, start } of rows) {
        expect([...found.subarray(row * columns, row * columns + 12)]).toEqual(start);
      }
      const total = found.reduce((a, b) => a + b, 0);
      expect(Math.abs(total - sum)).toBeLessThanOrEqual(
        found.length * 2 ** -53 * found.reduce((a, b) => a + Math.abs(b), 0),
      );
    }
    await checkpoint.close();
  });
});
