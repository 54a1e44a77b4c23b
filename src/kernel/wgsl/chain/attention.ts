// Attention of one row as a phase: rotates the row's query and key, writes key and value to the cache, and attends to what the
// cache has and to the new key. A workgroup has a query head and a share of the keys: a thread has a part of every
// so many keys and keeps a maximum and sums of its own, so threads meet once, at the end. Keys and values of the first round are
// loaded before the query has come. What the shares found goes by mail to the reader, which combines it.

import type { BufferPlace } from '../../signature.ts';
import {
  type AttentionShape,
  attentionShape,
  cacheUnit,
  keyFunctions,
  lanesPerKey,
} from '../attention/shape.ts';
import { f16Rounding } from '../common.ts';
import type { GpuBinding } from '../contract.ts';
import { kvSlots } from '../kv-slots.ts';
import { calledFunctions, mathFunctions, valueTypes } from '../math.ts';
import { elementsOf } from '../rope.ts';
import { fail } from '../status.ts';
import type { ChainDispatch, ChainSize, MailAt, Phase } from './phase.ts';

/** Words that a reader of the results may have to load. */
const mostWords = 8192;

export interface AttentionMail {
  readonly q: MailAt;
  readonly k: MailAt;
  readonly v: MailAt;
  /** Results of each head and split: Dh sums, the maximum, and the sum of weights. */
  readonly parts: MailAt;
}

/** Workgroups that share the keys of a head. */
export function splitsOf({ heads, headDim }: AttentionShape, size: ChainSize): number {
  let splits = 1;
  while (2 * splits * heads * headDim <= mostWords && 2 * splits * heads <= size.groups) splits *= 2;
  return splits;
}

export const partWords = (shape: AttentionShape, splits: number): number =>
  shape.heads * splits * (shape.headDim + 2);

/** WGSL of `x_octet` and `x_wait`: heads side by side, combined from their splits. A split has its octets as a row by mail has. */
export function combinedInput(shape: AttentionShape, splits: number, parts: MailAt): string {
  const { headDim } = shape;
  const each = (text: (s: number) => string): string =>
    Array.from({ length: splits }, (_, s) => text(s)).join('');
  const word = (s: number): string => `at + ${s * (headDim + 2)}u`;
  const four = (s: number, j: number): string =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => `mail_read(${word(s)} + place + ${(j + i) * (headDim / 8)}u)`).join(', ')})`;
  return `fn x_octet(row: u32, octet: u32) -> Eight {
  let head = octet / ${headDim / 8}u;
  let place = octet % ${headDim / 8}u;
  let at = ${parts}u + head * ${splits * (headDim + 2)}u;
${each((s) => `  let most_${s} = mail_read(${word(s)} + ${headDim}u);\n  let sum_${s} = mail_read(${word(s)} + ${headDim + 1}u);\n  let a_${s} = ${four(s, 0)};\n  let b_${s} = ${four(s, 4)};\n`)}  var most = most_0;
${each((s) => (s === 0 ? '' : `  most = max(most, most_${s});\n`))}  var sum = 0.0;
  var a = vec4<f32>();
  var b = vec4<f32>();
${each((s) => `  { let f = exp(most_${s} - most); sum += f * sum_${s}; a += f * a_${s}; b += f * b_${s}; }\n`)}  return Eight(a / sum, b / sum);
}
fn x_wait() { _ = mail_read(${parts}u + mail_pick % ${shape.heads * splits}u * ${headDim + 2}u + ${headDim + 1}u); }
`;
}

/** Dispatches `rope_kv` and `attention` as one phase; undefined where they cannot be. */
export function attentionPhase(
  rope: ChainDispatch,
  attention: ChainDispatch,
  mail: AttentionMail,
  splits: number,
  size: ChainSize,
): Phase | undefined {
  const request = attention.request.as('attention');
  const shape = attentionShape(request);
  const { caps } = request;
  const { heads, kvHeads, headDim, f16, codes } = shape;
  if (codes !== undefined) return undefined;
  const unit = cacheUnit(shape);
  const { subgroups } = caps;
  const { threads } = size;
  const elements = unit.pieces * unit.lanes;
  if (subgroups === undefined || subgroups.min !== subgroups.max || headDim % 8 !== 0) return undefined;
  const reach = subgroups.min;
  const lanes = lanesPerKey(unit.units, reach);
  const own = unit.units / lanes;
  const perRound = threads / lanes;
  // Keys of a thread that are under way together: 16 loads of 16 bytes.
  const rounds = Math.max(1, Math.floor(8 / own));
  const r = rope.request.as('rope_kv');
  const norm = (weight: BufferPlace): boolean => r.has(weight) || r.constant(r.p.normEps) > 0;
  const normed = norm(r.b.qNorm) || norm(r.b.kNorm);
  const rotation = {
    rot: r.constant(r.p.rot),
    interleaved: r.constant(r.p.interleaved) === 1,
    scale: r.float(r.p.attentionScale),
    eps: r.float(r.p.normEps),
  };
  const half = headDim / 2;
  if (2 * half > threads || headDim > threads) return undefined;
  const times = (n: number, text: (i: number) => string): string =>
    Array.from({ length: n }, (_, i) => text(i)).join('');
  const piece = unit.piece;
  const width = unit.units * unit.pieces;
  const group = heads / kvHeads;
  const slots = kvSlots(request);
  const loads = (from: string): string =>
    times(rounds, (i) => {
      const key = `${from} + ${i * perRound}u + t / lanes`;
      return `    let live_${i} = ${key} < keys;
    let at_${i} = (kv_head * cap + key_slot(0u, i32(first + min(${key}, max(keys, 1u) - 1u)))) * units + t % lanes;
${times(own, (u) => `    let k_${i}_${u} = k_cache[at_${i} + ${u}u * lanes];\n    let v_${i}_${u} = v_cache[at_${i} + ${u}u * lanes];\n`)}`;
    });
  const cell = (u: number, p: number): string => `(${u}u * lanes + t % lanes) * ${unit.pieces}u + ${p}u`;
  const shuffled = (name: string): string =>
    times(Math.log2(lanes), (i) => `    ${name} += subgroupShuffleXor(${name}, ${2 ** i}u);\n`);
  const scored = times(rounds, (i) => {
    const products = Array.from({ length: own * unit.pieces }, (_, n) => {
      const [u, p] = [Math.floor(n / unit.pieces), n % unit.pieces];
      return unit.dot(unit.decode(`k_${i}_${u}`, p), `q_shared[${cell(u, p)}]`);
    }).join(' + ');
    return `    var s_${i} = ${products};\n${shuffled(`s_${i}`)}    s_${i} = select(lowest, score(s_${i}), live_${i});\n`;
  });
  const merged = `    let top = max(running_max, ${Array.from({ length: rounds }, (_, i) => `s_${i}`).reduce((a, b) => `max(${a}, ${b})`)});
    let factor = exp(running_max - top);
    running_max = top;
    running_sum *= factor;
${times(own * unit.pieces, (n) => `    acc_${n} *= factor;\n`)}${times(
  rounds,
  (i) => `    let p_${i} = select(0.0, exp(s_${i} - top), live_${i});
    running_sum += p_${i};
${times(own * unit.pieces, (n) => `    acc_${n} += p_${i} * ${unit.decode(`v_${i}_${Math.floor(n / unit.pieces)}`, n % unit.pieces)};\n`)}`,
)}`;
  const acrossKeys = (text: (mask: number) => string): string => {
    let out = '';
    for (let m = lanes; m < reach; m *= 2) out += text(m);
    return out;
  };
  const rotate = rotation.rot > 0;
  const source = (name: string, mask: string): string =>
    `    if (${mask}) {
      a = mail_read(${name} + e.x);
      b = mail_read(${name} + e.y);
    }\n`;
  const normalise = (buffer: BufferPlace, name: string, mask: string): string =>
    !norm(buffer)
      ? ''
      : `  if (${mask}) {
    let scale = inverseSqrt(squares[t / ${half}u] / ${headDim}.0 + ${rotation.eps});
    a *= scale${r.has(buffer) ? ` * ${name}[e.x]` : ''};
    b *= scale${r.has(buffer) ? ` * ${name}[e.y]` : ''};
  }
`;
  const cached = (x: string): string => (f16 ? `cached_value(${x})` : x);
  const word = (list: string, i: number): string =>
    `f16_pair(${list}[t * ${elements}u + ${2 * i}u], ${list}[t * ${elements}u + ${2 * i + 1}u])`;
  const unitOf = (list: string): string =>
    f16
      ? `${unit.type}(${Array.from({ length: elements / 2 }, (_, i) => word(list, i)).join(', ')})`
      : `${unit.type}(${Array.from({ length: elements }, (_, i) => `${list}[t * ${elements}u + ${i}u]`).join(', ')})`;
  const pieceOf = (list: string, at: string): string =>
    `${piece}(${Array.from({ length: unit.lanes }, (_, i) => `${list}[(${at}) * ${unit.lanes}u + ${i}u]`).join(', ')})`;
  const code = `${rotate ? `${valueTypes(1)}${calledFunctions(mathFunctions(1), 'sin_f32 cos_f32')}` : ''}${
    f16 ? `${f16Rounding}fn cached_value(x: f32) -> f32 { return unpack2x16float(f16_bits(x)).x; }\n` : ''
  }${keyFunctions(shape)}${elementsOf({ headDim, rotation })}
const cap = ${shape.cap}u;
const lanes = ${lanes}u;
const units = ${unit.units}u;
const lowest = -3.0e38f;
/** The query, and where keys end the new key and value. */
var<workgroup> q_numbers: array<f32, ${headDim}>;
var<workgroup> k_numbers: array<f32, ${headDim}>;
var<workgroup> v_numbers: array<f32, ${headDim}>;
var<workgroup> q_shared: array<${piece}, ${width}>;
${normed ? `var<workgroup> square_cells: array<f32, ${headDim}>;\nvar<workgroup> squares: array<f32, 2>;\n` : ''}/** Of each subgroup: sums, and their maximum and sum of weights. */
var<workgroup> found: array<${piece}, ${(threads / reach) * width}>;
var<workgroup> found_most: array<f32, ${threads / reach}>;
var<workgroup> found_sum: array<f32, ${threads / reach}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let head = id.x / ${splits}u;
  let split = id.x % ${splits}u;
  let kv_head = head / ${group}u;
  let position = last_key(0u);
  let old = u32(position - first_key(position));
  let share = (old + ${splits - 1}u) / ${splits}u;
  let first = u32(first_key(position)) + min(split * share, old);
  let keys = min(share, old - min(split * share, old));
  let newest = split == 0u;
  if (t == 0u) { check_position(0u); }
  var running_max = lowest;
  var running_sum = 0.0;
${times(own * unit.pieces, (n) => `  var acc_${n} = ${piece}(0.0);\n`)}  {
${loads('0u')}
    let lane = t % ${half}u;
    let e = elements_of(lane);
${rotate ? `    let angle = f32(position) * inv_freq[min(lane, ${rotation.rot / 2 - 1}u)];\n    let turn = vec2(sin_f32(angle), cos_f32(angle)) * ${rotation.scale};\n` : ''}    var a = 0.0;
    var b = 0.0;
    var value = 0.0;
    if (t == 0u) { loop { _ = mail_read(${mail.q}u + head * ${headDim}u); if (!mail_again()) { break; } } }
    workgroupBarrier();
    loop {
  ${source(`${mail.q}u + head * ${headDim}u`, `t < ${half}u`)}  ${source(`${mail.k}u + kv_head * ${headDim}u`, `newest && t >= ${half}u && t < ${2 * half}u`)}      if (newest && t < ${headDim}u) { value = mail_read(${mail.v}u + kv_head * ${headDim}u + t); }
      if (!mail_again()) { break; }
    }
${
  normed
    ? `    if (t < ${headDim}u) { square_cells[t] = a * a + b * b; }
    workgroupBarrier();
    if (t < 2u) {
      var sum = 0.0;
      for (var i = 0u; i < ${half}u; i++) { sum += square_cells[t * ${half}u + i]; }
      squares[t] = sum;
    }
    workgroupBarrier();
${normalise(r.b.qNorm, 'q_norm', `t < ${half}u`)}${normalise(r.b.kNorm, 'k_norm', `t >= ${half}u && t < ${2 * half}u`)}`
    : ''
}${
  rotate
    ? `    if (lane < ${rotation.rot / 2}u) {
      let rotated = vec2(a * turn.y - b * turn.x, b * turn.y + a * turn.x);
      a = rotated.x;
      b = rotated.y;
    }
`
    : ''
}    if (t < ${half}u) {
      q_numbers[e.x] = a;
      q_numbers[e.y] = b;
    } else if (t < ${2 * half}u) {
      k_numbers[e.x] = ${cached('a')};
      k_numbers[e.y] = ${cached('b')};
    }
    if (t < ${headDim}u) { v_numbers[t] = ${cached('value')}; }
    workgroupBarrier();
    if (t < ${width}u) { q_shared[t] = ${pieceOf('q_numbers', 't')}; }
    workgroupBarrier();
${scored}${merged}  }
  for (var c = ${rounds * perRound}u; c < keys; c += ${rounds * perRound}u) {
${loads('c')}${scored}${merged}  }
  if (newest && t < lanes) {
    var s_new = 0.0;
    for (var i = 0u; i < ${headDim}u; i++) { s_new += q_numbers[i] * k_numbers[i]; }
    let s = score(s_new);
    let top = max(max(running_max, s), ${shape.hasSinks ? 'sinks[head]' : 'lowest'});
    let factor = exp(running_max - top);
    let p = exp(s - top);
    running_max = top;
    running_sum = running_sum * factor + p${shape.hasSinks ? ' + exp(sinks[head] - top)' : ''};
${times(own * unit.pieces, (n) => `    acc_${n} = acc_${n} * factor + p * ${pieceOf('v_numbers', cell(Math.floor(n / unit.pieces), n % unit.pieces))};\n`)}  }
  if (newest && head % ${group}u == 0u && t < units) {
    let slot = kv_slot(0u, position);
    if (slot < 0) { ${fail('kv_position', 'position')} } else {
      k_cache[(kv_head * cap + u32(slot)) * units + t] = ${unitOf('k_numbers')};
      v_cache[(kv_head * cap + u32(slot)) * units + t] = ${unitOf('v_numbers')};
    }
  }
  let own_most = subgroupMax(running_max);
  let own_factor = exp(running_max - own_most);
  running_sum *= own_factor;
${times(own * unit.pieces, (n) => `  acc_${n} *= own_factor;\n`)}${acrossKeys(
  (m) =>
    `  running_sum += subgroupShuffleXor(running_sum, ${m}u);\n${times(own * unit.pieces, (n) => `  acc_${n} += subgroupShuffleXor(acc_${n}, ${m}u);\n`)}`,
)}  let team = t / ${reach}u;
  if (t % ${reach}u < lanes) {
${times(own * unit.pieces, (n) => `    found[team * ${width}u + ${cell(Math.floor(n / unit.pieces), n % unit.pieces)}] = acc_${n};\n`)}  }
  if (t % ${reach}u == 0u) {
    found_most[team] = own_most;
    found_sum[team] = running_sum;
  }
  workgroupBarrier();
  let at = ${mail.parts}u + id.x * ${headDim + 2}u;
  var most = found_most[0];
  for (var i = 1u; i < ${threads / reach}u; i++) { most = max(most, found_most[i]); }
  if (t < ${width}u) {
    var total = ${piece}(0.0);
    for (var i = 0u; i < ${threads / reach}u; i++) { total += found[i * ${width}u + t] * exp(found_most[i] - most); }
${times(unit.lanes, (i) => `    mail_send(at + ((t * ${unit.lanes}u + ${i}u) & 7u) * ${headDim / 8}u + ((t * ${unit.lanes}u) >> 3u), total[${i}]);\n`)}  }
  if (t == ${width}u) {
    var total = 0.0;
    for (var i = 0u; i < ${threads / reach}u; i++) { total += found_sum[i] * exp(found_most[i] - most); }
    mail_send(at + ${headDim}u, most);
    mail_send(at + ${headDim + 1}u, total);
  }
}
`;
  const at = (buffer: number): number => attention.first + buffer;
  const bindings: GpuBinding[] = [
    { buffer: at(request.b.kCache), name: 'k_cache', type: `array<${unit.type}>`, access: 'read_write' },
    { buffer: at(request.b.vCache), name: 'v_cache', type: `array<${unit.type}>`, access: 'read_write' },
    { buffer: at(request.b.positions), name: 'positions', type: 'array<i32>', access: 'read' },
    ...slots.bindings.map((b): GpuBinding => ({ ...b, buffer: at(b.buffer as number) })),
  ];
  const more = (buffer: BufferPlace, name: string, from: number): void => {
    bindings.push({ buffer: from + buffer, name, type: 'array<f32>', access: 'read' });
  };
  if (rotate) more(r.b.invFreq, 'inv_freq', rope.first);
  if (r.has(r.b.qNorm)) more(r.b.qNorm, 'q_norm', rope.first);
  if (r.has(r.b.kNorm)) more(r.b.kNorm, 'k_norm', rope.first);
  if (shape.hasSinks) more(request.b.sinks, 'sinks', attention.first);
  return { enables: ['subgroups'], bindings, code, groups: heads * splits };
}
