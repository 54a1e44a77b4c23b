// Sampling on a GPU (a software one will do) against its definition: rows of all kinds in one dispatch, over several slices of
// the vocabulary.

import { afterAll, describe, expect, it } from 'vitest';
import { philox } from '../../src/array/ops/creation/philox.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import { sampleKernel } from '../../src/kernel/wgsl/sample/index.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { runPlan } from './run-plan.ts';

const device = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

interface Row {
  readonly what: string;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly step?: number;
  readonly top?: number;
  readonly logit?: (x: number, i: number) => number;
}

const V = 4500;
const n = 6;
const inf = Number.POSITIVE_INFINITY;

const rows: readonly Row[] = [
  { what: 'greedy' },
  { what: 'greedy with alternatives', top: 6 },
  { what: 'greedy among equals', top: 3, logit: (x) => Math.min(1, x) },
  { what: 'all logits', temperature: 1, seed: 2 ** 32 - 1, step: 3, top: 1 },
  { what: 'hot', temperature: 5, seed: 8, step: 2 ** 31 },
  { what: 'cold', temperature: 0.05, seed: 9 },
  { what: 'top-k', temperature: 1.5, topK: 40, seed: 11, step: 1, top: 6 },
  { what: 'top-k of 1', temperature: 1, topK: 1 },
  { what: 'top-p', temperature: 1, topP: 0.4, seed: 21 },
  { what: 'top-p of 0', temperature: 1, topP: 0, seed: 22 },
  { what: 'min-p', temperature: 2, minP: 0.3, seed: 23 },
  { what: 'top-k, top-p and min-p', temperature: 2, topK: 700, topP: 0.8, minP: 0.02, seed: 24, top: 2 },
  { what: 'one logit everywhere', temperature: 1, seed: 30, top: 2, logit: () => 2.5 },
  { what: 'few distinct logits', temperature: 1, topK: 2000, seed: 31, logit: (x) => Math.round(x) },
  { what: 'masked', temperature: 1, seed: 32, top: 4, logit: (x, i) => (i % 1000 === 7 ? x : -inf) },
  { what: 'NaN', temperature: 1, top: 2, logit: (x, i) => (i === 4000 ? Number.NaN : x) },
  { what: 'infinite', logit: (x, i) => (i === 3 ? inf : x) },
  { what: 'nothing allowed', temperature: 1, logit: () => -inf },
];

function makeLogits(): Float32Array {
  const uniform = randomNumbers(77);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(6.2831853 * uniform());
  const logits = new Float32Array(rows.length * V);
  rows.forEach(({ logit = (x) => x }, r) => {
    for (let i = 0; i < V; i++) logits[r * V + i] = logit(3 * normal(), i);
  });
  return logits;
}

function settings(): Int32Array {
  const words = new DataView(new ArrayBuffer(rows.length * 48));
  rows.forEach(({ temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0, step = 0, top = 0 }, r) => {
    words.setFloat32(48 * r, temperature, true);
    words.setInt32(48 * r + 4, topK, true);
    words.setFloat32(48 * r + 8, topP, true);
    words.setFloat32(48 * r + 12, minP, true);
    words.setUint32(48 * r + 16, seed, true);
    words.setUint32(48 * r + 20, step, true);
    words.setInt32(48 * r + 44, top, true);
  });
  return new Int32Array(words.buffer);
}

/** Tokens that are kept, best first, and the one drawn. */
function drawn(x: Float32Array, order: readonly number[], row: Row): number {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0, step = 0 } = row;
  const best = order[0] as number;
  if (temperature === 0) return best;
  const weight = (i: number): number => Math.exp(((x[i] as number) - (x[best] as number)) / temperature);
  const first = topK > 0 ? order.slice(0, topK) : order;
  const sum = first.reduce((s, i) => s + weight(i), 0);
  let before = 0;
  const kept = first.filter((i, place) => {
    const keep = place === 0 || (before / sum < Math.fround(topP) && weight(i) >= Math.fround(minP));
    before += weight(i);
    return keep;
  });
  let left = (philox(seed, step) / 2 ** 32) * kept.reduce((s, i) => s + weight(i), 0);
  for (const i of kept) {
    left -= weight(i);
    if (left < 0) return i;
  }
  return kept.at(-1) as number;
}

describe.skipIf(typeof device === 'string')(
  `sample on a GPU${typeof device === 'string' ? `: ${device}` : ''}`,
  () => {
    if (typeof device === 'string') return;
    afterAll(() => device.dispose());

    it('draws what the definition draws, row by row', async () => {
      const logits = makeLogits();
      const B = rows.length;
      const bytes = [
        logits,
        settings(),
        new Uint32Array(B),
        new Float32Array(B),
        new Int32Array(B * n),
        new Float32Array(B * n),
      ].map((a) => new Uint8Array(a.buffer));
      const request = new KernelRequest({
        name: 'sample',
        params: [B, V, n],
        bytes: bytes.map((b) => b.byteLength),
        caps: device.caps,
        scalars: [],
      });
      const results = (await runPlan(device.gpu, sampleKernel.plan(request), [B, V, n], bytes)).map(
        (r) => r.slice().buffer,
      );
      const [ids, logprobs] = [
        new Uint32Array(results[2] as ArrayBuffer),
        new Float32Array(results[3] as ArrayBuffer),
      ];
      const [topIds, topLogprobs] = [
        new Int32Array(results[4] as ArrayBuffer),
        new Float32Array(results[5] as ArrayBuffer),
      ];
      rows.forEach((row, r) => {
        const x = logits.subarray(r * V, (r + 1) * V);
        const order = Array.from(x.keys()).sort((a, b) => (x[b] as number) - (x[a] as number) || a - b);
        const wrong = x.find((v) => !(v < inf)) ?? (x.every((v) => v === -inf) ? -inf : undefined);
        const max = Math.max(...x);
        const total = Math.log(x.reduce((s, v) => s + Math.exp(v - max), 0));
        const logprob = (i: number): number => (x[i] as number) - max - total;
        const id = wrong === undefined ? drawn(x, order, row) : 0;
        expect(ids[r], row.what).toBe(id);
        if (wrong !== undefined) expect(logprobs[r], row.what).toBe(wrong);
        const top = wrong === undefined ? order.slice(0, row.top ?? 0) : [];
        const padded = Array.from({ length: n }, (_, j) => top[j] ?? 0);
        expect([...topIds.subarray(r * n, (r + 1) * n)], row.what).toEqual(padded);
        if (wrong !== undefined) return;
        const want = [
          logprob(id),
          ...Array.from({ length: n }, (_, j) => (j < top.length ? logprob(top[j] as number) : 0)),
        ];
        const got = [logprobs[r] as number, ...topLogprobs.subarray(r * n, (r + 1) * n)];
        expectAllClose(got, want, { absolute: 64 * 2 ** -24, relative: 16 * 2 ** -24 }, row.what);
      });
    });
  },
);
