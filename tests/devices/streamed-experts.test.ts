// Experts streamed to a GPU (a software one will do): the sums of two layers are those with all experts in memory, bit for bit, for single
// rows and for tiles, whichever experts there is room for.

import { mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { compile } from '../../src/array/compile.ts';
import { fromData } from '../../src/array/creation.ts';
import { expertLinear } from '../../src/array/ops/experts/expert-linear.ts';
import { moeDown } from '../../src/array/ops/experts/moe-down.ts';
import { moeGlu } from '../../src/array/ops/experts/moe-glu.ts';
import { moeRoute } from '../../src/array/ops/experts/moe-route.ts';
import type { Plan } from '../../src/array/plan.ts';
import { Weight } from '../../src/array/weight.ts';
import { dynDim } from '../../src/base/shape.ts';
import {
  type ExpertPart,
  type ExpertStreamSpec,
  expertParts,
  type StreamedLayer,
} from '../../src/device/expert-stream.ts';
import { openFile } from '../../src/device/files.ts';
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts';
import type { GpuExperts } from '../../src/device/webgpu/experts.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { layoutOf, packedBytes } from '../../src/quant/layout.ts';
import { caseTensor } from '../../src/testing/case-data.ts';

const [D, F, E, topk] = [32, 64, 12, 3];
const layout = layoutOf('q4');
const shapes = { gate: [E, F, D], up: [E, F, D], down: [E, D, F] } as const;
const bytesOf = (part: ExpertPart): number => packedBytes(layout, shapes[part][1], shapes[part][2]);
const offsets = { gate: 0, up: bytesOf('gate'), down: 4096 };
const blockBytes = 8192;

let fail: number | undefined;
/** Called when a read has begun, which waits for it. */
let reading: (() => Promise<void>) | undefined;
const opened = await openNodeGpu({
  software: true,
  openFile: (path, byteLength) => {
    const file = openFile(path, byteLength);
    return {
      ...file,
      readInto: async (offset, target) => {
        if (fail !== undefined && offset >= fail && offset < fail + blockBytes)
          throw new Error('Input/output error');
        await reading?.();
        await file.readInto(offset, target);
      },
    };
  },
}).catch((error: Error) => error.message);

describe.skipIf(typeof opened === 'string')('experts streamed to a GPU', () => {
  const device = opened as WebGpuDevice;
  const folder = mkdtempSync(join(tmpdir(), 'ingot-streamed-'));
  const path = join(folder, 'experts');
  afterAll(() => {
    rmSync(folder, { recursive: true });
    device.dispose();
  });

  /** Packed stacks of two layers, and the file: an expert of the first layer is one block, the stacks of the second lie apart. */
  const stacks = [0, 1].map((layer) =>
    Object.fromEntries(
      expertParts.map((part, i) => {
        const { data } = caseTensor({ shape: [...shapes[part]], weight: 'q4' }, 10 * layer + i);
        return [part, data as Uint8Array];
      }),
    ),
  ) as Record<ExpertPart, Uint8Array>[];
  const partOf = (layer: number, part: ExpertPart, e: number): Uint8Array =>
    (stacks[layer] as Record<ExpertPart, Uint8Array>)[part].subarray(
      e * bytesOf(part),
      (e + 1) * bytesOf(part),
    );
  const placeOf = (layer: number, part: ExpertPart, e: number): number =>
    layer === 0
      ? e * blockBytes + offsets[part]
      : E * blockBytes + expertParts.indexOf(part) * E * 4096 + e * bytesOf(part);
  const file = new Uint8Array(E * blockBytes + 3 * E * 4096);
  for (const layer of [0, 1])
    for (const part of expertParts)
      for (let e = 0; e < E; e++) file.set(partOf(layer, part, e), placeOf(layer, part, e));
  writeFileSync(path, file);

  const spec = (slots: number, more: Partial<ExpertStreamSpec> = {}): ExpertStreamSpec => ({
    files: [{ path, byteLength: file.byteLength }],
    layers: [0, 1].map((layer) => ({
      name: `layers.${layer}`,
      experts: E,
      blockBytes,
      matrices: Object.fromEntries(
        expertParts.map((part) => [
          part,
          {
            offset: offsets[part],
            byteLength: bytesOf(part),
            rows: shapes[part][1],
            columns: shapes[part][2],
            layout,
            source: undefined,
            places: Array.from({ length: E }, (_, e) => [
              { file: 0, offset: placeOf(layer, part, e), byteLength: bytesOf(part) },
            ]),
          },
        ]),
      ) as unknown as StreamedLayer['matrices'],
    })),
    bytes: slots * blockBytes,
    readers: 3,
    eviction: 'lru',
    hot: [],
    ...more,
  });

  const bias = fromData(caseTensor({ shape: [E, F] }, 5).data, [E, F], { device });
  const downBias = fromData(caseTensor({ shape: [E, D] }, 6).data, [E, D], { device });
  type Weights = (layer: number, part: ExpertPart) => Weight;

  const inputs = (most: number) => {
    const rows = dynDim('rows', most);
    const input = (columns: number) => ({ shape: [rows, columns], dtype: 'f32' }) as const;
    return { device, inputs: { x: input(D), first: input(E), second: input(E) } };
  };
  type Inputs = Readonly<Record<'x' | 'first' | 'second', NDArray>>;
  const precision = 'fast';
  const gated = (weights: Weights, { x, first }: Inputs): NDArray => {
    const [ids, shares] = moeRoute(first, topk);
    const h = moeGlu(x, ids, weights(0, 'gate'), weights(0, 'up'), { precision });
    return x.add(moeDown(h, ids, shares, weights(0, 'down'), { precision }));
  };
  /** The same with biases, which go by the numbers of experts and not of places. */
  const biased = (weights: Weights, { x, second }: Inputs): NDArray => {
    const [ids, shares] = moeRoute(second, topk);
    const gate = expertLinear(x, ids, weights(1, 'gate'), { precision, bias });
    const h = gate.silu().mul(expertLinear(x, ids, weights(1, 'up'), { precision, bias }));
    const down = { precision, weights: shares, bias: downBias } as const;
    return x.add(expertLinear(h, ids, weights(1, 'down'), down).sum(1));
  };

  /** A gated layer, and one with experts that are written out and have a bias. */
  const planOf = (weights: Weights): Plan =>
    compile((args) => {
      const y = gated(weights, args as Inputs);
      const [ids, shares] = moeRoute((args as Inputs).second, topk);
      const h = expertLinear(y, ids, weights(1, 'gate'), { precision, bias }).tanh();
      return expertLinear(h, ids, weights(1, 'down'), { precision, weights: shares }).sum(1);
    }, inputs(40));
  const resident: Weights = (layer, part) =>
    Weight.fromPacked(device, stacks[layer]?.[part] as Uint8Array, layout, shapes[part]);
  const streamed =
    (stream: GpuExperts): Weights =>
    (layer, part) =>
      new Weight({ device, buffer: stream.stack(layer, part), layout, shape: shapes[part] });

  const run = async (plan: Plan, n: number, seed = n): Promise<Float32Array> => {
    const tensor = (columns: number, at: number) => caseTensor({ shape: [n, columns] }, 100 * seed + at).data;
    const [out] = await plan.run({ inputs: { x: tensor(D, 1), first: tensor(E, 2), second: tensor(E, 3) } });
    return (await out?.data()) as Float32Array;
  };
  const opening = (slots: number, more?: Partial<ExpertStreamSpec>): GpuExperts =>
    device.streamExperts?.(spec(slots, more)) as GpuExperts;

  const whole = planOf(resident);

  it.each([
    [3, 'lru', []],
    [7, 'frequency', []],
    [8, 'lru', [0, 3, 7]],
    [2 * E, 'lru', []],
  ] as const)('gives the same with %i slots, %s, hot %j', async (slots, eviction, hot) => {
    const stream = opening(slots, { eviction, hot: hot.map((expert) => ({ layer: 1, expert })) });
    const plan = planOf(streamed(stream));
    for (const n of [1, 1, 5, 40, 2]) expect(await run(plan, n), `${n} rows`).toEqual(await run(whole, n));
    const { requests, hits, slotsUsed, bytesRead } = stream.counters();
    expect(slotsUsed).toBeLessThanOrEqual(slots);
    expect(hits).toBeLessThan(requests);
    expect(bytesRead).toBeGreaterThan(0);
    const chosen = stream.chosen().map((list) => list.reduce((sum, count) => sum + count, 0));
    expect(chosen).toEqual([49 * topk, 49 * topk]);
    plan.dispose();
    stream.dispose();
  });

  it('does not stop for a layer whose experts are all there, and counts what it chose', async () => {
    const stream = opening(2 * E);
    const plan = planOf(streamed(stream));
    const readbacks = vi.spyOn(device.readback, 'record');
    const stops = async (n: number, seed?: number): Promise<number> => {
      readbacks.mockClear();
      expect(await run(plan, n, seed)).toEqual(await run(whole, n, seed));
      return readbacks.mock.calls.length - 2; // the results of both
    };
    expect(await stops(1)).toBe(2);
    expect(await stops(40)).toBe(2); // brings them all
    expect(stream.counters().slotsUsed).toBe(2 * E);
    const before = stream.counters();
    for (const n of [1, 1, 5, 40]) expect(await stops(n), `${n} rows`).toBe(0);
    const { requests, hits, reads } = stream.counters();
    expect(requests - before.requests).toBeGreaterThan(2 * 3 * topk);
    expect(hits - before.hits).toBe(requests - before.requests);
    expect(reads).toBe(before.reads);
    const chosen = stream.chosen().map((list) => list.reduce((sum, count) => sum + count, 0));
    expect(chosen).toEqual([88 * topk, 88 * topk]);
    for (const each of [plan, stream]) each.dispose();

    // One layer whole and then no longer: room for the other takes its slots away.
    const less = opening(E + 4);
    const other = planOf(streamed(less));
    for (const n of [40, 1, 2, 40, 1, 3]) {
      for (const only of [n, n + 100]) expect(await run(other, n, only)).toEqual(await run(whole, n, only));
    }
    for (const each of [other, less]) each.dispose();
    readbacks.mockRestore();
  });

  it('uses the experts that are there while the others are read', async () => {
    const stream = opening(2 * E);
    const plan = planOf(streamed(stream));
    const submits = vi.spyOn(device.gpu.queue, 'submit');
    const during: number[] = [];
    reading = async () => {
      for (let turn = 0; turn < 20; turn++) await new Promise((resume) => setImmediate(resume));
      during.push(submits.mock.calls.length);
    };
    const submitted = async (n: number): Promise<number | undefined> => {
      const right = await run(whole, n);
      submits.mockClear();
      during.length = 0;
      expect(await run(plan, n)).toEqual(right);
      return during[0]; // when the first read has ended
    };
    expect(await submitted(1)).toBe(1); // nothing is there yet: the router
    expect(await submitted(5)).toBe(2); // the router, and the experts that are there
    reading = undefined;
    submits.mockRestore();
    for (const each of [plan, stream]) each.dispose();
  });

  it('gives the same with biases', async () => {
    const stream = opening(5);
    const of = (weights: Weights): Plan => compile((args) => biased(weights, args as Inputs), inputs(40));
    const [all, plan] = [of(resident), of(streamed(stream))];
    expect(plan.patterns.moe_mlp).toBeGreaterThan(0);
    for (const n of [1, 3, 40]) expect(await run(plan, n), `${n} rows`).toEqual(await run(all, n));
    for (const each of [all, plan, stream]) each.dispose();
  });

  it('gives the same for more rows than one sort takes', async () => {
    const stream = opening(7);
    const of = (weights: Weights): Plan => compile((args) => gated(weights, args as Inputs), inputs(2800));
    const [all, plan] = [of(resident), of(streamed(stream))];
    expect(await run(plan, 2800)).toEqual(await run(all, 2800));
    for (const each of [all, plan, stream]) each.dispose();
  });

  it('fails the run that a failing read concerns, and no other', async () => {
    const stream = opening(7);
    const plan = planOf(streamed(stream));
    for (const layer of [0, 1]) {
      fail = placeOf(layer, 'gate', 2);
      // Runs that were begun before and after it, in one go.
      const [failed, next] = await Promise.allSettled([run(plan, 40), run(plan, 40, 7)]);
      for (const result of [failed, next]) {
        expect(result).toMatchObject({
          status: 'rejected',
          reason: {
            code: 'bad_file',
            message: expect.stringMatching(
              new RegExp(`layer ${layer}, expert \\d+: ${path}: \\d+ bytes at \\d+: Input/output error`),
            ),
          },
        });
      }
      fail = undefined;
      for (const n of [40, 1]) expect(await run(plan, n)).toEqual(await run(whole, n));
    }
    plan.dispose();
    stream.dispose();
  });

  it('says that the file changed while it was in use', async () => {
    const stream = opening(7);
    const plan = planOf(streamed(stream));
    await run(plan, 1);
    utimesSync(path, 1, 1);
    await expect(run(plan, 40)).rejects.toThrow('the file was written to while it was in use');
    truncateSync(path, 1000);
    await expect(run(plan, 40)).rejects.toThrow('the file changed its size while it was in use');
    expect(() => opening(7)).toThrow(`has 1000 bytes, ${file.byteLength} when it was opened`);
    writeFileSync(path, file);
    plan.dispose();
    stream.dispose();
  });

  it('refuses what is not for streamed experts, and too little memory', async () => {
    const stream = opening(7);
    const stack = stream.stack(0, 'gate');
    expect(() => device.write(stack, 0, new Uint8Array(16))).toThrow('are for the kernels of experts only');
    expect(() => opening(0.5)).toThrow('hold no expert of 8192 bytes');
    stream.dispose();
    const little = opening(2);
    const plan = planOf(streamed(little));
    await expect(run(plan, 1)).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringContaining('layers.0: 3 experts are needed together and memory has room for 2'),
    });
    plan.dispose();
    little.dispose();
  });
});
