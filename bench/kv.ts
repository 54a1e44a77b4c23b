// What a decode step at a long context spends on its keys and values, by what they are stored as: attention of one row in every
// layer of a model of SmolLM2-135M's shape (30 layers, 9 query heads on 3 key heads of 64), turn by turn.

import { compile } from '../src/array/compile.ts';
import { attention } from '../src/array/ops/nn/attention.ts';
import { State } from '../src/array/weight.ts';
import { summarize } from '../src/base/statistics.ts';
import { codesOf, partsOf, slotBytes } from '../src/cache/parts.ts';
import { openCpuDevice } from '../src/device/cpu/device.ts';
import { attentionSpec } from '../src/nn/contracts.ts';
import { f32ToF16 } from '../src/quant/half.ts';
import { kvCodes, writeKvRow } from '../src/quant/kv-rows.ts';
import { caseTensor } from '../src/testing/case-data.ts';

const [layers, heads, kvHeads, headDim] = [30, 9, 3, 64] as const;
const forms = ['f16', ...kvCodes] as const;

export interface KvRow {
  readonly stored: (typeof forms)[number];
  readonly positions: number;
  /** Bytes of keys and values that the step reads. */
  readonly bytes: number;
  readonly ms: number;
  readonly GBs: number;
}

/** Rows of random numbers, as they are stored. */
function someRows(stored: (typeof forms)[number], row: number, count: number): Uint8Array {
  const x = caseTensor({ shape: [count, headDim] }, 5).data as Float32Array;
  if (stored === 'f16') return new Uint8Array(Uint16Array.from(x, f32ToF16).buffer);
  const out = new Uint8Array(count * row);
  for (let i = 0; i < count; i++)
    writeKvRow(stored, x.subarray(i * headDim, (i + 1) * headDim), out, i * row);
  return out;
}

/** Medians over `runs` rounds. */
export async function benchKv(
  { positions, runs }: { readonly positions: number; readonly runs: number },
  log: (line: string) => void,
): Promise<readonly KvRow[]> {
  const device = openCpuDevice();
  const made = forms.map((stored) => {
    const array = partsOf(attentionSpec({ numKvHeads: kvHeads, headDim }), stored)[0]?.arrays[0];
    if (array === undefined) throw new Error('attention keeps keys');
    const { width, dtype } = array;
    const row = slotBytes(array) / kvHeads;
    const rows = someRows(stored, row, 512);
    const states = Array.from({ length: 2 * layers }, (_, i) => {
      const state = new State({ device, shape: [kvHeads, positions, width], dtype, label: `${stored} ${i}` });
      for (let at = 0; at < kvHeads * positions * row; at += rows.length)
        device.write(
          state.buffer,
          at,
          rows.subarray(0, Math.min(rows.length, kvHeads * positions * row - at)),
        );
      return state;
    });
    const plan = compile(
      ({ q, at }) =>
        Array.from({ length: layers }, (_, i) =>
          attention(q, states[2 * i] as State, states[2 * i + 1] as State, at, {
            scale: headDim ** -0.5,
            ...codesOf(stored),
          }),
        ),
      {
        device,
        inputs: { q: { shape: [1, heads, headDim], dtype: 'f32' }, at: { shape: [1], dtype: 'i32' } },
      },
    );
    const q = caseTensor({ shape: [heads * headDim] }, 9).data;
    const run = () => plan.run({ inputs: { q, at: [positions - 1] } });
    return {
      stored,
      states,
      plan,
      run,
      bytes: 2 * layers * kvHeads * positions * row,
      times: [] as number[],
    };
  });
  for (let round = 0; round <= runs; round++) {
    for (const { run, times } of made) {
      const start = performance.now();
      await run();
      if (round > 0) times.push(performance.now() - start);
    }
  }
  const rows = made.map(({ stored, bytes, times }): KvRow => {
    const ms = summarize(times).median;
    log(`  ${stored}: ${ms.toFixed(2)} ms for ${(bytes / 1e6).toFixed(0)} MB`);
    return { stored, positions, bytes, ms, GBs: bytes / ms / 1e6 };
  });
  for (const { plan, states } of made) {
    plan.dispose();
    for (const state of states) state.dispose();
  }
  device.dispose();
  return rows;
}
