// The tuner on the software GPU: what it measures, when it stops, and what it leaves in the book.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { compile } from '../../src/array/compile.ts';
import { linear } from '../../src/array/ops/linear/linear.ts';
import type { Plan } from '../../src/array/plan.ts';
import { Weight } from '../../src/array/weight.ts';
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { tuneProgram, unknownKeys } from '../../src/device/webgpu/tune.ts';
import { type Tunable, tuneFirst } from '../../src/engine/tune.ts';
import type { Choices } from '../../src/kernel/tune/choices.ts';
import { layoutOf, packedBytes } from '../../src/quant/layout.ts';

const count = 1 << 20;
const key = 'tile f32 f32';
let device: WebGpuDevice;
let plan: Plan;
const saved: Choices[] = [];

beforeAll(async () => {
  device = await openNodeGpu({
    software: true,
    choices: {
      load: () => ({}),
      save: (_, choices) => {
        saved.push(choices);
        return '/choices.json';
      },
    },
  });
  plan = compile(({ x }) => x.mul(2).add(1), { device, inputs: { x: { shape: [count], dtype: 'f32' } } });
});
afterAll(() => {
  plan.dispose();
  device.dispose();
});

const typical = async (): Promise<Record<string, number>> => {
  await plan.run({ inputs: { x: new Float32Array(count).fill(3) } });
  return {};
};

describe('the tuner', () => {
  it('stops at its budget with what it has, and says what there was no time for', async () => {
    let time = 0;
    const { results } = await tuneProgram(device, plan.program, {
      loads: [typical],
      runs: 1,
      budgetMs: 10,
      now: () => (time += 8),
    });
    expect(results.map((r) => [r.key, Object.keys(r.ns)])).toEqual([[key, ['1']]]);
    expect(device.choices.knows(key)).toBe(true);
  });

  it('measures every candidate that all typical runs have seen, and keeps the fastest', async () => {
    const seen: string[] = [];
    const { results, choices } = await tuneProgram(device, plan.program, {
      loads: [typical, typical],
      runs: 1,
      onProgress: (done, total, family) => seen.push(`${done}/${total} ${family}`),
    });
    expect(seen).toEqual(['0/1 tile', '1/1 ']);
    expect(Object.keys(results[0]?.ns ?? {}).sort()).toEqual(['1', '2', '4']);
    expect(choices[key]).toBe(results[0]?.candidate);
    expect(results[0]?.ratio).toBeLessThanOrEqual(1);
    expect(Number((await plan.outputs[0]!.data())[count - 1])).toBe(7);
  });

  it('tries as many candidates as it is told, and no keys but those that are meant', async () => {
    const { results } = await tuneProgram(device, plan.program, { loads: [typical], runs: 1, candidates: 2 });
    expect(Object.keys(results[0]?.ns ?? {})).toHaveLength(2);
    const none = await tuneProgram(device, plan.program, { loads: [typical], only: () => false });
    expect(none.results).toEqual([]);
  });
});

describe('the first load on a GPU that nobody tuned', () => {
  it('measures what decoding reads weights with, says so, and remembers', async () => {
    const weight = Weight.fromPacked(
      device,
      new Uint8Array(packedBytes(layoutOf('q4'), 64, 64)),
      layoutOf('q4'),
      [64, 64],
    );
    const rows = compile(({ x }: { x: NDArray }) => linear(x, weight), {
      device,
      inputs: { x: { shape: [1, 64], dtype: 'f32' } },
    });
    const notices: string[] = [];
    const tunable = {
      device,
      runner: { tunable: { program: rows.program, scalars: {} } },
      model: {
        async *generate() {
          await rows.run({ inputs: { x: new Float32Array(64) } });
          yield 0;
        },
      },
      vocabSize: 8,
      contextLength: 8,
    } as unknown as Tunable;
    const onNotice = (text: string): number => notices.push(text);
    // A software GPU is not measured, whatever is known of it.
    expect(await tuneFirst(tunable, { onNotice })).toBe(false);
    expect(notices).toEqual([]);
    Object.defineProperty(device, 'identity', {
      value: { name: 'nvidia nvidia-h200', vendor: 'nvidia', software: false },
    });
    const unknown = unknownKeys(device, rows.program);
    expect(unknown.length).toBeGreaterThan(0);
    await tuneFirst(tunable, { onNotice }, 1);
    expect(notices[0]).toMatch(
      /^Measuring which kernels are fastest on nvidia nvidia-h200, beginning with those of nvidia nvidia-h100/,
    );
    expect(notices[1]).toMatch(
      /choices changed. Remembered in \/choices.json. `ingot tune` measures all of them.$/,
    );
    expect(Object.keys(saved.at(-1) ?? {})).toEqual(expect.arrayContaining([...unknown]));
    expect(await tuneFirst(tunable, { onNotice })).toBe(false); // it is known now
    expect(notices).toHaveLength(2);
    rows.dispose();
    weight.dispose();
  });
});
