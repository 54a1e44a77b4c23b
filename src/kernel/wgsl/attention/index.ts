// attention: which passes serve a dispatch.

import { IngotError } from '../../../base/errors.ts';
import type { GpuKernel, GpuPass, KernelRequest } from '../contract.ts';
import { type DecodeLayout, decodeBytes, decodePass } from './decode.ts';
import { isUsable } from './matrices.ts';
import { type AttentionShape, attentionShape, cacheUnit, lanesPerKey, type RowFilter } from './shape.ts';
import { combinePass, partialBytes } from './splits.ts';
import { type AttentionTile, tileBytes, tilePass, tilesServe } from './tiles.ts';

/** Up to so many rows of a cache without pages are split over workgroups. */
const fewRows = 8;

/** Largest divisor of n that is at most `most`. */
function divisorUpTo(n: number, most: number): number {
  let d = Math.min(n, most);
  while (n % d !== 0) d--;
  return d;
}

/** The part of a layout that a shape and the adapter leave no choice about, for wished threads, chunk and splits. */
function fitLayout(
  request: KernelRequest<'attention'>,
  shape: AttentionShape,
  wish: Omit<DecodeLayout, 'lanes' | 'block'>,
): DecodeLayout {
  const { units } = cacheUnit(shape);
  const lanes = lanesPerKey(units, request.caps.subgroups?.min ?? 1);
  const threads = Math.max(wish.threads, 2 ** Math.ceil(Math.log2(units)));
  const chunk = Math.max(wish.chunk, threads / lanes);
  const { maxWorkgroupBytes } = request.caps;
  for (let most = 8; most >= 1; most--) {
    const block = divisorUpTo(shape.heads / shape.kvHeads, most);
    const layout = { ...wish, threads, chunk, lanes, block };
    if (decodeBytes(shape, layout) <= maxWorkgroupBytes) return layout;
  }
  throw new IngotError(
    'unsupported',
    `attention: heads of ${shape.headDim} need more than the ${maxWorkgroupBytes} bytes of workgroup memory this GPU has: use device 'cpu'`,
  );
}

/** Threads, chunk, splits and loads under way; the first is the default. */
const layouts = [
  '128x64x32x4',
  '128x128x32x4',
  '128x64x64x4',
  '256x64x32x2',
  '64x64x64x4',
  '128x128x16x4',
  '128x64x32x2',
];

const shapeClass = ({ headDim, heads, kvHeads, cap, f16, codes }: AttentionShape): string =>
  `Dh${headDim} H${heads}/${kvHeads} cap${cap} ${codes ?? (f16 ? 'f16' : 'f32')}`;

function rowLayout(request: KernelRequest<'attention'>, shape: AttentionShape): DecodeLayout {
  const [threads = 128, chunk = 64, splits = 32, unroll = 4] = request
    .choose(`attention rows ${shapeClass(shape)}`, layouts)
    .split('x')
    .map(Number);
  // A short cache has not that many keys to load at once; its code stays small.
  const wish = { threads, chunk, splits, unroll: shape.keyLimit < 512 ? 1 : unroll };
  const fitted = fitLayout(request, shape, wish);
  return { ...fitted, splits: Math.min(splits, Math.ceil(shape.keyLimit / fitted.chunk)) };
}

/** Subgroups and keys of tiles; the first that fits is the default. */
const tiles = ['4x32', '2x32', '2x64', '1x32', '1x64'];

/** The tiles for many rows, or undefined where single rows are the way. */
function tileLayout(request: KernelRequest<'attention'>, shape: AttentionShape): AttentionTile | undefined {
  const { f16, subgroups, subgroupMatrices, maxWorkgroupBytes, maxStorageBuffers } = request.caps;
  const matrices = f16 && subgroups?.min === 32 && subgroups.max === 32 && subgroupMatrices.some(isUsable);
  if (!matrices || maxStorageBuffers < 9 || shape.maxRows === 1) return undefined;
  const parse = (name: string): AttentionTile => {
    const [count = 4, keys = 32] = name.split('x').map(Number);
    return { subgroups: count, keys, plain: false };
  };
  const fitting = tiles.filter((name) => {
    const layout = parse(name);
    return tilesServe(shape, layout) && tileBytes(shape, layout) <= maxWorkgroupBytes;
  });
  if (fitting.length === 0) return undefined;
  const name = request.choose(`attention tiles ${shapeClass(shape)} rows${shape.maxRows}`, [
    ...fitting,
    'rows',
  ]);
  return name === 'rows' ? undefined : parse(name);
}

export const attentionKernel: GpuKernel<'attention'> = {
  name: 'attention',
  plan(request) {
    const shape = attentionShape(request);
    if (shape.f16 && shape.headDim % 2 === 1) {
      throw new IngotError(
        'unsupported',
        `attention: an f16 cache needs an even head size, got ${shape.headDim}: use an f32 cache`,
      );
    }
    const layout = rowLayout(request, shape);
    const tile = tileLayout(request, shape);
    const manyRows = (filter: RowFilter): GpuPass =>
      tile === undefined
        ? decodePass(request, shape, { ...layout, splits: 1 }, filter)
        : tilePass(shape, tile, filter);
    const splitRows = (filter: RowFilter): readonly GpuPass[] => {
      const pass = decodePass(request, shape, layout, filter);
      return layout.splits > 1 ? [pass, combinePass(shape, layout, filter)] : [pass];
    };
    if (shape.slots.paged) {
      const sole = splitRows('sole');
      return {
        variants: [
          { when: (params) => shape.rowsOf(params) <= 1, passes: sole },
          { passes: [...sole, manyRows('grouped')] },
        ],
        scratch: [partialBytes(shape, layout.splits, shape.sequences)],
      };
    }
    return {
      variants: [
        { when: (params) => shape.rowsOf(params) <= fewRows, passes: splitRows('all') },
        { passes: [manyRows('all')] },
      ],
      scratch: [partialBytes(shape, layout.splits, Math.min(shape.maxRows, fewRows))],
    };
  },
};
