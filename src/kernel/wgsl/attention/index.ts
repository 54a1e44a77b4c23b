// attention: which passes serve a dispatch.

import { IngotError } from '../../../base/errors.ts';
import type { GpuKernel, GpuVariant, KernelRequest } from '../contract.ts';
import { type DecodeLayout, decodeBytes, decodePass } from './decode.ts';
import { type AttentionShape, attentionShape, cacheUnit } from './shape.ts';
import { combinePass, partialBytes } from './splits.ts';

/** Up to so many rows of a cache without pages are split over workgroups. */
const splitRows = 8;

/** Largest divisor of n that is at most `most`. */
function divisorUpTo(n: number, most: number): number {
  let d = Math.min(n, most);
  while (n % d !== 0) d--;
  return d;
}

/** The part of a layout that a shape and the adapter leave no choice about, for wished threads, chunk and splits. */
function fitLayout(
  request: KernelRequest,
  shape: AttentionShape,
  wish: Omit<DecodeLayout, 'lanes' | 'block'>,
): DecodeLayout {
  const { units } = cacheUnit(shape);
  const reach = Math.min(request.caps.subgroups?.min ?? 1, 16);
  let lanes = 1;
  while (lanes * 2 <= reach && units % (lanes * 2) === 0) lanes *= 2;
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

function chosenLayout(request: KernelRequest, shape: AttentionShape, rows: string): DecodeLayout {
  const key = `attention ${rows} Dh${shape.headDim} H${shape.heads}/${shape.kvHeads} cap${shape.cap} ${shape.f16 ? 'f16' : 'f32'}`;
  const [threads = 128, chunk = 64, splits = 32, unroll = 4] = request
    .choose(key, layouts)
    .split('x')
    .map(Number);
  // A short cache has not that many keys to load at once; its code stays small.
  const wish = { threads, chunk, splits, unroll: shape.keyLimit < 512 ? 1 : unroll };
  const fitted = fitLayout(request, shape, wish);
  return { ...fitted, splits: Math.min(splits, Math.ceil(shape.keyLimit / fitted.chunk)) };
}

function splitPasses(
  request: KernelRequest,
  shape: AttentionShape,
  layout: DecodeLayout,
  filter: 'all' | 'sole',
) {
  const pass = decodePass(request, shape, layout, filter);
  return layout.splits > 1 ? [pass, combinePass(shape, layout, filter)] : [pass];
}

export const attentionKernel: GpuKernel = {
  name: 'attention',
  plan(request) {
    const shape = attentionShape(request);
    if (shape.f16 && shape.headDim % 2 === 1) {
      throw new IngotError(
        'unsupported',
        `attention: an f16 cache needs an even head size, got ${shape.headDim}: use an f32 cache`,
      );
    }
    const layout = chosenLayout(request, shape, 'rows');
    const whole = { ...layout, splits: 1 };
    const { paged } = shape.slots;
    const parts = paged ? shape.sequences : Math.min(shape.maxRows, splitRows);
    const few: GpuVariant = {
      when: ([rows = 0]) => rows <= (paged ? 1 : splitRows),
      passes: splitPasses(request, shape, layout, paged ? 'sole' : 'all'),
    };
    const many: GpuVariant = {
      passes: paged
        ? [...few.passes, decodePass(request, shape, whole, 'grouped')]
        : [decodePass(request, shape, whole, 'all')],
    };
    return {
      variants: [few, many],
      scratch: layout.splits > 1 ? [partialBytes(shape, layout.splits, parts)] : [],
    };
  },
};
