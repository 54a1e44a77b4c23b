// rope, rope_kv and kv_write: heads on their way from a projection to attention and into the cache. All are made of parts, each
// of which takes the heads of one operand, rotates them or not, and stores them in an array or in a cache.

import type { KvCodes } from '../../quant/kv-rows.ts';
import type { BufferPlace } from '../signature.ts';
import { f16Rounding, groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest, read } from './contract.ts';
import { codedWords } from './kv-codes.ts';
import { type KvSlots, kvSlots } from './kv-slots.ts';
import { calledFunctions, mathFunctions, valueTypes } from './math.ts';
import { fail, statusBinding } from './status.ts';

/** Heads of one operand. Names are those of bindings. */
interface Part {
  readonly name: string;
  readonly heads: number;
  /** The dispatch's buffers. */
  readonly from: BufferPlace;
  readonly to: BufferPlace;
  /** Buffer of the norm's weight, `'plain'` for a norm without one; undefined: no norm. */
  readonly norm?: BufferPlace | 'plain' | undefined;
  readonly rotates: boolean;
  readonly cached: boolean;
}

interface Rotation {
  readonly positions: BufferPlace;
  readonly invFreq: BufferPlace | undefined;
  readonly rot: number;
  readonly interleaved: boolean;
  /** WGSL expressions. */
  readonly scale: string;
  readonly eps: string;
}

type Heading = 'rope' | 'rope_kv' | 'kv_write';

interface Heads {
  readonly headDim: number;
  readonly rotation: Rotation;
  readonly cap: number;
  readonly f16: boolean;
  /** What cached rows are stored as where they are not floats. */
  readonly codes?: KvCodes | undefined;
  readonly slots: KvSlots | undefined;
}

/** Threads of a head: one per two elements, a power of two so that a head's sum is a tree. */
const lanesOf = (headDim: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, Math.ceil(headDim / 2))));

function bindingsOf(parts: readonly Part[], { rotation, slots, f16, codes }: Heads): readonly GpuBinding[] {
  const used = new Map<string, GpuBinding>();
  const add = (b: GpuBinding): Map<string, GpuBinding> => used.set(b.name, b);
  add(read(rotation.positions, 'positions', 'array<i32>'));
  for (const part of parts) {
    add(read(part.from, part.name, 'array<f32>'));
    if (part.rotates && rotation.invFreq !== undefined) add(read(rotation.invFreq, 'inv_freq', 'array<f32>'));
    if (typeof part.norm === 'number') add(read(part.norm, `${part.name}_norm`, 'array<f32>'));
    const type = part.cached && (f16 || codes !== undefined) ? 'array<u32>' : 'array<f32>';
    add({ buffer: part.to, name: `${part.name}_out`, type, access: 'read_write' });
    if (!part.cached) continue;
    for (const b of slots?.bindings ?? []) add(b);
    add(statusBinding);
  }
  return [...used.values()];
}

/** The elements that a lane holds: a pair that is rotated, or two that pass. */
export const elementsOf = ({
  headDim,
  rotation: { rot, interleaved },
}: {
  readonly headDim: number;
  readonly rotation: Pick<Rotation, 'rot' | 'interleaved'>;
}): string => `fn elements_of(lane: u32) -> vec2<u32> {
  ${interleaved || rot === 0 ? '' : `if (lane < ${rot / 2}u) { return vec2(lane, lane + ${rot / 2}u); }\n  `}return vec2(2u * lane, 2u * lane + 1u);
}
fn element_exists(e: u32) -> bool { return e < ${headDim}u; }
`;

const storeOf = (part: Part, { headDim, cap, f16, codes }: Heads): string => {
  const pair = (base: string): string => `    let at = ${base} * ${headDim}u + 2u * lane;
    ${part.name}_out[at] = staged[first];
    if (element_exists(2u * lane + 1u)) { ${part.name}_out[at + 1u] = staged[first + 1u]; }`;
  if (!part.cached) return pair(`(row * ${part.heads}u + head)`);
  const place = `(head * ${cap}u + u32(slot))`;
  if (codes !== undefined) {
    const { words } = codedWords(codes, headDim);
    return `    let slot = kv_slot(row, position);
    if (slot < 0) { ${fail('kv_position', 'position')} return; }
    for (var w = lane; w < ${words}u; w += ${headDim / 2}u) { ${part.name}_out[${place} * ${words}u + w] = coded_word(base, w); }`;
  }
  const word = `    ${part.name}_out[${place} * ${headDim / 2}u + lane] = f16_pair(staged[first], staged[first + 1u]);`;
  return `    let slot = kv_slot(row, position);
    if (slot < 0) { ${fail('kv_position', 'position')} return; }
${f16 ? word : pair(place)}`;
};

/** One pass over the heads of the parts, a workgroup for a few heads of a row. */
function headsPass(
  request: KernelRequest<Heading>,
  name: string,
  parts: readonly Part[],
  heads: Heads,
): GpuPass {
  const { headDim, rotation } = heads;
  const lanes = lanesOf(headDim);
  const perGroup = Math.max(1, 64 / lanes);
  const total = parts.reduce((n, p) => n + p.heads, 0);
  const normed = parts.some((p) => p.norm !== undefined);
  const cached = parts.some((p) => p.cached);
  const rows = request.inRun(request.p.rows);
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((n, p) => n + p.heads, 0));
  const each = (body: (part: Part, first: number) => string): string =>
    parts
      .map(
        (p, i) =>
          `  if (item >= ${starts[i]}u && item < ${(starts[i] ?? 0) + p.heads}u) {\n${body(p, starts[i] ?? 0)}\n  }`,
      )
      .join('\n');
  const load = each((p, first) => {
    const base = `(row * ${p.heads}u + item - ${first}u) * ${headDim}u`;
    return `    if (element_exists(e.x)) { a = ${p.name}[${base} + e.x]; }
    if (element_exists(e.y)) { b = ${p.name}[${base} + e.y]; }`;
  });
  const norm = each((p) => {
    if (p.norm === undefined) return '';
    const weight = (e: string): string =>
      typeof p.norm === 'number' ? ` * ${p.name}_norm[min(${e}, ${headDim - 1}u)]` : '';
    return `    a *= scale${weight('e.x')};\n    b *= scale${weight('e.y')};`;
  });
  const rotated = parts.filter((p) => p.rotates).length > 0 && rotation.rot > 0;
  const turns = parts
    .map((p, i) => (p.rotates ? `(item >= ${starts[i]}u && item < ${(starts[i] ?? 0) + p.heads}u)` : ''))
    .filter((s) => s !== '');
  const code = `${groupIndex}${rotated ? `${valueTypes(1)}${calledFunctions(mathFunctions(1), 'sin_f32 cos_f32')}` : ''}${cached && (heads.f16 || heads.codes !== undefined) ? f16Rounding : ''}${cached ? (heads.slots?.code ?? '') : ''}${elementsOf(heads)}
/** Heads of the workgroup, in order. */
var<workgroup> staged: array<f32, ${perGroup * lanes * 2}>;
${cached && heads.codes !== undefined ? codedWords(heads.codes, headDim).code : ''}${normed ? `var<workgroup> squares: array<f32, ${perGroup * lanes}>;\n` : ''}
@compute @workgroup_size(${perGroup * lanes})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let at_head = group_index(id, count) * ${perGroup}u + t / ${lanes}u;
  let lane = t % ${lanes}u;
  let exists = at_head < u32(${request.int(request.p.rows)}) * ${total}u;
  let row = select(0u, at_head / ${total}u, exists);
  let item = select(${total}u, at_head % ${total}u, exists);
  let e = elements_of(lane);
  var a = 0.0;
  var b = 0.0;
${load}
${
  normed
    ? `  squares[t] = a * a + b * b;
  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { squares[t] += squares[t + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(squares[t - lane] / ${headDim}.0 + ${rotation.eps});
${norm}`
    : ''
}
  let position = positions[row];
${
  rotated
    ? `  if (lane < ${rotation.rot / 2}u && (${turns.join(' || ')})) {
    let angle = f32(position) * inv_freq[lane];
    let turn = vec2(sin_f32(angle), cos_f32(angle)) * ${rotation.scale};
    let rotated = vec2(a * turn.y - b * turn.x, b * turn.y + a * turn.x);
    a = rotated.x;
    b = rotated.y;
  }`
    : ''
}
  let base = (t - lane) * 2u;
  staged[base + e.x] = a;
  staged[base + e.y] = b;
  workgroupBarrier();
  let first = base + 2u * lane;
  if (!element_exists(2u * lane)) { return; }
${each((p, start) => `    let head = item - ${start}u;\n${storeOf(p, heads)}`)}
}
`;
  return {
    name,
    bindings: bindingsOf(parts, heads),
    code,
    groups: (params) => grid(Math.ceil((rows(params) * total) / perGroup)),
  };
}

/** All parts in one pass where the bindings allow it, else a pass for each. */
function passesOf(request: KernelRequest<Heading>, parts: readonly Part[], heads: Heads): readonly GpuPass[] {
  const together = bindingsOf(parts, heads).length <= request.caps.maxStorageBuffers;
  if (together) return [headsPass(request, request.name, parts, heads)];
  return parts.map((p) => headsPass(request, `${request.name} ${p.name}`, [p], heads));
}

const plan = (request: KernelRequest<Heading>, parts: readonly Part[], heads: Heads) => ({
  variants: [{ passes: passesOf(request, parts, heads) }],
});

export const ropeKernel: GpuKernel<'rope'> = {
  name: 'rope',
  plan(request) {
    const { p, b } = request;
    const plain = request.constant(p.hasNorm) === 1 ? 'plain' : undefined;
    const part: Part = {
      name: 'x',
      heads: request.constant(p.H),
      from: b.x,
      to: b.y,
      norm: request.has(b.normWeight) ? b.normWeight : plain,
      rotates: true,
      cached: false,
    };
    return plan(request, [part], {
      headDim: request.constant(p.Dh),
      rotation: rotationOf(request),
      cap: 0,
      f16: false,
      slots: undefined,
    });
  },
};

const rotationOf = (request: KernelRequest<'rope' | 'rope_kv'>): Rotation => {
  const { p, b } = request;
  return {
    positions: b.positions,
    invFreq: b.invFreq,
    rot: request.constant(p.rot),
    interleaved: request.constant(p.interleaved) === 1,
    scale: request.float(p.attentionScale),
    eps: request.float(p.normEps),
  };
};

const storedAs = (request: KernelRequest<'rope_kv' | 'kv_write'>): Pick<Heads, 'f16' | 'codes'> => {
  const rows = request.named('kvRows', request.p.kvRows);
  return { f16: rows === 'f16', codes: rows === 'f16' || rows === 'f32' ? undefined : rows };
};

export const ropeKvKernel: GpuKernel<'rope_kv'> = {
  name: 'rope_kv',
  plan(request) {
    const { p, b } = request;
    const kvHeads = request.constant(p.Hkv);
    const plain = request.constant(p.normEps) > 0 ? 'plain' : undefined;
    const norm = (weight: BufferPlace): BufferPlace | 'plain' | undefined =>
      request.has(weight) ? weight : plain;
    const [q, k] = [
      { rotates: true, norm: norm(b.qNorm) },
      { rotates: true, norm: norm(b.kNorm) },
    ];
    const parts: readonly Part[] = [
      { name: 'q', heads: request.constant(p.H), from: b.q, to: b.y, ...q, cached: false },
      { name: 'k', heads: kvHeads, from: b.k, to: b.kCache, ...k, cached: true },
      { name: 'v', heads: kvHeads, from: b.v, to: b.vCache, rotates: false, cached: true },
    ];
    return plan(request, parts, {
      headDim: request.constant(p.Dh),
      rotation: rotationOf(request),
      cap: request.constant(p.cap),
      ...storedAs(request),
      slots: kvSlots(request),
    });
  },
};

export const kvWriteKernel: GpuKernel<'kv_write'> = {
  name: 'kv_write',
  plan(request) {
    const { p, b } = request;
    const heads = request.constant(p.Hkv);
    const parts: readonly Part[] = [
      { name: 'k', heads, from: b.k, to: b.kCache, rotates: false, cached: true },
      ...(request.has(b.vCache)
        ? [{ name: 'v', heads, from: b.v, to: b.vCache, rotates: false, cached: true }]
        : []),
    ];
    return plan(request, parts, {
      headDim: request.constant(p.Dh),
      rotation: {
        positions: b.positions,
        invFreq: undefined,
        rot: 0,
        interleaved: false,
        scale: '1.0',
        eps: '0.0',
      },
      cap: request.constant(p.cap),
      ...storedAs(request),
      slots: kvSlots(request),
    });
  },
};
