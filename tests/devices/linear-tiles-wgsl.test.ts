// WGSL of tiles by subgroup matrices, which run on hardware only: the compiler takes all of it, and one is kept to be read.

import { describe, expect, it } from 'vitest';
import { KernelRequest, wgslSource } from '../../src/kernel/wgsl/contract.ts';
import { linearShape } from '../../src/kernel/wgsl/linear/shape.ts';
import { linearTiles } from '../../src/kernel/wgsl/linear/tiles.ts';
import {
  layoutCode,
  layoutOf,
  metaDtypeCode,
  packedBytes,
  type WeightLayout,
} from '../../src/quant/layout.ts';
import { everyLayout } from '../../src/testing/random-packed.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';

/** A request of `linear` for up to 600 rows, all operands there. */
function request(
  layout: WeightLayout,
  Ns: readonly number[],
  glu: number,
  pick: (names: readonly string[]) => string,
) {
  const K = 512;
  const segments = Ns.map((N) => [packedBytes(layout, N, K), 4 * N, glu > 0 ? 0 : 600 * N * 4]);
  const bytes = [
    600 * K * 4,
    4 * K,
    Ns.length === 1 || glu > 0 ? 600 * 4 * (Ns[0] ?? 0) : 0,
    ...segments.flat(),
  ];
  if (glu > 0) bytes[5] = bytes[2] ?? 0;
  const layoutParams = [layoutCode(layout), layout.group, metaDtypeCode(layout)];
  return new KernelRequest({
    name: 'linear',
    params: [
      { scalar: 'n', mul: 1, add: 0 },
      K,
      0,
      1e-5,
      0,
      glu,
      Ns.length,
      ...Ns.flatMap((N) => [N, ...layoutParams]),
    ],
    bytes,
    caps: h100,
    scalars: ['n'],
    choose: (_, names) => pick(names),
  });
}

describe('linear by subgroup matrices', () => {
  it('every tile of every layout compiles', async () => {
    const gpu = await openNullGpu();
    const tried = new Set<string>();
    for (const layout of everyLayout) {
      // Shapes of tiles and layouts meet in a few functions: all shapes with some layouts, two with the others.
      const shapes = ['f32', 'bf16', 'q4', 'q6k'].includes(layout.kind) ? 12 : 2;
      for (let i = 0; i < shapes; i++) {
        const pick = (names: readonly string[]): string => names[i % names.length] ?? '';
        for (const [Ns, glu] of [
          [[96, 32, 40], 0],
          [[96, 96], 1],
        ] as const) {
          const r = request(layout, Ns, glu, pick);
          for (const { passes } of linearTiles(r, linearShape(r)).variants) {
            for (const pass of passes) {
              if (tried.has(wgslSource(pass))) continue;
              tried.add(wgslSource(pass));
              expect(await complaint(gpu, pass)).toBeUndefined();
            }
          }
        }
      }
    }
    expect(tried.size).toBeGreaterThan(100);
    gpu.destroy();
  });
  it('gate and up of q4', async () => {
    const r = request(layoutOf('q4'), [96, 96], 1, ([first = '']) => first);
    const passes = linearTiles(r, linearShape(r)).variants[0]?.passes ?? [];
    await expect(passes.map(wgslSource).join('\n// ---\n')).toMatchFileSnapshot(
      '../../src/kernel/wgsl/__snapshots__/linear-tiles-glu-q4.wgsl',
    );
  });
});
