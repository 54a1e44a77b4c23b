// ropeKv: rotation of q and of k with the cache write, in one dispatch. Made by fusion of two rope and a kvWrite.

import { elementCount } from '../../../base/shape.ts';
import type { KvCodes } from '../../../quant/kv-rows.ts';
import { defineOp, type OpCase } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { type RopeAttrs, ropeOp } from '../nn/rope.ts';
import { countParam, fixed, numel, operand, optional, output } from '../operands.ts';
import { cacheShape, kvWrite, kvWriteOp, nextVersion, rowsParam } from './kv-write.ts';
import { pageParams } from './paged.ts';

export interface RopeKvAttrs extends RopeAttrs {
  readonly ring: number;
  readonly codes?: KvCodes | undefined;
}

/**
 * Operands: k cache, v cache, q, k, v, positions, invFreq, q norm or null, k norm or null, sequences and page table or
 * null. Outputs: caches, rotated q.
 */
export const ropeKvOp = defineOp<RopeKvAttrs>({
  name: 'ropeKv',
  inPlace: [0, 1],
  infer: (inputs, attrs) => {
    const [kCache, vCache, q, k] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    const [v, positions, invFreq] = [operand(inputs, 4), operand(inputs, 5), operand(inputs, 6)];
    kvWriteOp.infer([kCache, vCache, k, v, positions, ...inputs.slice(9)], attrs);
    ropeOp.infer([k, positions, invFreq, optional(inputs, 8)], attrs);
    const [y] = ropeOp.infer([q, positions, invFreq, optional(inputs, 7)], attrs);
    return [nextVersion(kCache), nextVersion(vCache), operand([y ?? null], 0)];
  },
  reference: (inputs, outputs, attrs) => {
    const [q, k, v] = [operand(inputs, 2), operand(inputs, 3), operand(inputs, 4)];
    const [positions, invFreq] = [operand(inputs, 5), operand(inputs, 6)];
    const rotated: Tensor = { shape: k.shape, dtype: 'f32', data: new Float32Array(numel(k.shape)) };
    ropeOp.reference([q, positions, invFreq, optional(inputs, 7)], [output(outputs, 2)], attrs);
    ropeOp.reference([k, positions, invFreq, optional(inputs, 8)], [rotated], attrs);
    kvWriteOp.reference([null, null, rotated, v, positions, ...inputs.slice(9)], outputs.slice(0, 2), attrs);
  },
  composite: (inputs, attrs) => {
    const [q, k, v] = [operand(inputs, 2), operand(inputs, 3), operand(inputs, 4)];
    const [positions, invFreq] = [operand(inputs, 5), operand(inputs, 6)];
    const { ring, codes, ...rope } = attrs;
    const y = q.apply(ropeOp, [q, positions, invFreq, optional(inputs, 7)], rope);
    const rotated = k.apply(ropeOp, [k, positions, invFreq, optional(inputs, 8)], rope);
    const [sequences, pages] = [optional(inputs, 9), optional(inputs, 10)];
    const paged = sequences === null || pages === null ? undefined : { sequences, pages };
    return [
      ...kvWrite(operand(inputs, 0), operand(inputs, 1), rotated, v, positions, { ring, paged, codes }),
      y,
    ];
  },
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const { inputs, outputs, attrs } = context;
      const [kCache, vCache, y] = [operand(outputs, 0), operand(outputs, 1), operand(outputs, 2)];
      const [q, k, v, positions] = [
        operand(inputs, 2),
        operand(inputs, 3),
        operand(inputs, 4),
        operand(inputs, 5),
      ];
      const { kvHeads, capacity, headDim } = cacheShape(kCache.type, vCache.type, 'ropeKv', {
        codes: attrs.codes,
        headDim: k.type.shape[2],
      });
      context.emit(
        'rope_kv',
        {
          q,
          k,
          v,
          positions,
          invFreq: operand(inputs, 6),
          qNorm: optional(inputs, 7),
          kNorm: optional(inputs, 8),
          kCache,
          vCache,
          y,
          sequences: optional(inputs, 9),
          pageTable: optional(inputs, 10),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          H: fixed(q.type.shape[1], 'ropeKv'),
          Hkv: kvHeads,
          Dh: headDim,
          rot: attrs.rotaryDim,
          interleaved: attrs.interleaved,
          attentionScale: attrs.attentionScale,
          normEps: attrs.norm?.eps ?? 0,
          cap: capacity,
          kvRows: rowsParam(kCache.type, attrs.codes),
          ring: attrs.ring,
          ...pageParams(optional(inputs, 10), 'ropeKv'),
        },
      );
    },
  },
  tolerance: (inputs) => {
    const f16 = operand(inputs, 0).dtype === 'f16' ? 2 ** -10 : 0;
    return { absolute: 300 * 2 ** -22 * 16, relative: f16 + 2 ** -20 };
  },
  cases: ropeKvCases(),
});

function ropeKvCases(): readonly OpCase<RopeKvAttrs>[] {
  const attrs: RopeKvAttrs = { rotaryDim: 64, interleaved: false, attentionScale: 1, norm: null, ring: 0 };
  const norm = { shape: [64], fill: 'positive' as const };
  const inputs = (dtype: 'f32' | 'f16', rows: number) => [
    { shape: [2, 12, 64], dtype, state: true },
    { shape: [2, 12, 64], dtype, state: true },
    { shape: [rows, 6, 64] },
    { shape: [rows, 2, 64] },
    { shape: [rows, 2, 64] },
    { shape: [rows], dtype: 'i32' as const, fill: 'range' as const },
    { shape: [32], fill: 'unit' as const },
  ];
  return [
    { name: 'f32', inputs: [...inputs('f32', 3), null, null], attrs },
    {
      name: 'f16 interleaved ring',
      inputs: [...inputs('f16', 5), null, null],
      attrs: { ...attrs, interleaved: true, ring: 8 },
    },
    {
      name: 'pages',
      inputs: [
        { shape: [2, 64, 64], state: true },
        { shape: [2, 64, 64], state: true },
        ...inputs('f32', 2).slice(2),
        null,
        null,
        { shape: [2], dtype: 'i32', fill: 'range' },
        { shape: [2, 1], dtype: 'i32', fill: 'range' },
      ],
      attrs,
    },
    { name: 'norms', inputs: [...inputs('f32', 1), norm, norm], attrs: { ...attrs, norm: { eps: 1e-6 } } },
  ];
}
