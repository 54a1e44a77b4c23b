// Packed weights as tiles want them: eight columns of one row at a time. `fetch` reads the raw words, `decode` turns them into
// numbers, so that a kernel can keep words in flight while it computes. Layouts: docs/layouts.md.

import {
  codeBlockBytes,
  codesBytes,
  formatLayout,
  type LayoutKind,
  metaPlaces,
  metaRecord,
  panelBytes,
  type QuantizedSpec,
  quantizedSpec,
  type WeightLayout,
} from '../../../quant/layout.ts';
import { fieldByte, tableWords } from './unpack.ts';

/** The type numbers are unpacked in: `f16` needs shader-f16 and halves the instructions. */
export type TileMath = 'f16' | 'f32';

/**
 * Types and primitives of `decode`. Columns of a chunk of eight come in pairs (0,2) (1,3) (4,6) (5,7): so two codes that
 * are 16 bits apart in a word become one pair without a shuffle. Activations are stored in the same order.
 */
export const tilePrelude = (math: TileMath): string =>
  math === 'f16'
    ? `alias num = f16;
alias pair = vec2<f16>;
alias Pairs = array<pair, 4>;
fn half_at(word: u32, i: u32) -> num { let v = bitcast<vec2<f16>>(word); return select(v.x, v.y, (i & 1u) == 1u); }
// 0x6400 is 1024, whose last place is 1: small integers are its mantissa.
fn code_pair(codes: u32) -> pair { return bitcast<vec2<f16>>(codes | 0x64006400u) - pair(1024.0h); }
fn pack_pair(p: pair) -> u32 { return bitcast<u32>(p); }
`
    : `alias num = f32;
alias pair = vec2<f32>;
alias Pairs = array<pair, 4>;
fn half_at(word: u32, i: u32) -> num { return unpack2x16float(word)[i & 1u]; }
fn code_pair(codes: u32) -> pair { return vec2<f32>(f32(codes & 0xffffu), f32(codes >> 16u)); }
fn pack_pair(p: pair) -> u32 { return pack2x16float(p); }
`;

/** Functions every layout's `decode` may use. */
export const decodeHelpers = `fn bf16_at(word: u32, i: u32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u)); }
fn step_at(word: u32, n: u32) -> f32 { return f32(i32(word << (24u - 8u * (n % 4u))) >> 24u); }
fn e8m0_at(word: u32, n: u32) -> f32 {
  let e = i32((word >> (8u * (n % 4u))) & 255u);
  return bitcast<f32>(max((e - 1) << 23u, (e + 1) << 21u));
}
fn e4m3_at(word: u32, i: u32) -> f32 {
  let byte = word >> (8u * i);
  let magnitude = byte & 127u;
  let bits = select((magnitude << 20u) + 0x3c000000u, bitcast<u32>(f32(magnitude) * 0.001953125), magnitude < 8u);
  return bitcast<f32>(bits | ((byte & 128u) << 24u));
}
fn number_at(numbers: ptr<function, array<u32, 4>>, code: u32) -> f32 {
  let word = (*numbers)[(code >> 2u) & 3u];
  return f32(i32(word << (24u - 8u * (code & 3u))) >> 24u);
}
fn scaled(a: u32, b: u32, c: u32, d: u32, s: num, m: num) -> Pairs {
  return Pairs(
    fma(code_pair(a), pair(s), pair(m)),
    fma(code_pair(b), pair(s), pair(m)),
    fma(code_pair(c), pair(s), pair(m)),
    fma(code_pair(d), pair(s), pair(m)),
  );
}
fn nibbles(w: u32, s: num, m: num) -> Pairs {
  let mask = 0x000f000fu;
  return scaled(w & mask, (w >> 8u) & mask, (w >> 4u) & mask, (w >> 12u) & mask, s, m);
}
fn bytes(v: u32, w: u32, s: num, m: num) -> Pairs {
  let mask = 0x00ff00ffu;
  return scaled(v & mask, (v >> 8u) & mask, w & mask, (w >> 8u) & mask, s, m);
}
`;

/** Name of a layout's `decode` and of its raw words. */
export const layoutName = (layout: WeightLayout): string => formatLayout(layout).replaceAll('/', '_');

/** Words of codes of an octet, as WGSL: of the planes of bits one after the other. */
function codeOffsets(spec: QuantizedSpec): readonly string[] {
  const block = `(c / 4u) * ${codeBlockBytes(spec) / 4}u`;
  const nibbles = `${block} + (c % 4u) * 16u + lane`;
  const pairs = (at: number): string => `${block} + ${at}u + ((c % 4u) / 2u) * 16u + lane`;
  switch (spec.bits) {
    case 2:
      return [pairs(0)];
    case 3:
      return [pairs(0), `${block} + 32u + lane`];
    case 4:
      return [nibbles];
    case 5:
      return [nibbles, `${block} + 64u + lane`];
    case 6:
      return [nibbles, pairs(64)];
    case 8:
      return ['c * 32u + lane', 'c * 32u + 16u + lane'];
  }
}

/** Words of the meta fields of an octet: scale, its steps, minimum, its steps, as far as the layout has them. */
function metaOffsets(layout: WeightLayout, K: number): readonly string[] {
  const { bytes, columns } = metaRecord(layout);
  const record = `${codesBytes(layout, K) / 4}u + (c / ${columns / 8}u) * ${bytes / 4}u`;
  const { scale, steps, minimum, minimumSteps } = metaPlaces(layout);
  const perWord = { f32: 1, f16: 2, bf16: 2, e8m0: 4, e4m3: 4 }[layout.metaDtype];
  const stored = (field: number): string =>
    `${record} + ${fieldByte(layout, field) / 4}u + lane / ${perWord}u`;
  const group = `((c / ${layout.group / 8}u) % ${columns / layout.group}u)`;
  const step = (field: number): string =>
    `${record} + ${fieldByte(layout, field) / 4}u + ${group} * 4u + lane / 4u`;
  return [
    stored(scale),
    ...(steps === undefined ? [] : [step(steps)]),
    ...(minimum === undefined ? [] : [stored(minimum)]),
    ...(minimumSteps === undefined ? [] : [step(minimumSteps)]),
  ];
}

/** WGSL expressions of the words of columns 8c … 8c+7 of lane `lane`, relative to the panel's start. */
function wordOffsets(layout: WeightLayout, K: number): readonly string[] {
  const spec = quantizedSpec(layout.kind);
  if (spec !== undefined) return [...codeOffsets(spec), ...metaOffsets(layout, K)];
  const list = (n: number, at: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => at(i));
  if (layout.kind === 'f32') return list(8, (i) => `c * 128u + ${16 * i}u + lane`);
  if (layout.kind === 'f16') return list(8, (i) => `c * 64u + ${8 * i}u + lane / 2u`);
  return list(4, (i) => `c * 64u + ${16 * i}u + lane`);
}

/** Whether word i of a float layout lies inside K columns, or undefined when all do. */
function wordGuard(kind: LayoutKind, K: number, i: number): string | undefined {
  if (K % 32 === 0 || quantizedSpec(kind) !== undefined) return undefined;
  return `c * 8u + ${kind === 'bf16' ? 2 * i : i}u < ${K}u`;
}

/**
 * `fetch_NAME(base, n, c)`: raw words of columns 8c … 8c+7 of row n of the matrix that starts at word `base` of the binding
 * NAME (`array<u32>`). Columns past K give zeros.
 */
export function fetchFunction(name: string, layout: WeightLayout, K: number): string {
  const words = wordOffsets(layout, K).map((at, i) => {
    const guard = wordGuard(layout.kind, K, i);
    const read = `${name}[panel + ${at}]`;
    return guard === undefined
      ? read
      : `select(0u, ${name}[panel + min(${at}, ${panelBytes(layout, K) / 4 - 1}u)], ${guard})`;
  });
  return `fn fetch_${name}(base: u32, n: u32, c: u32) -> array<u32, ${words.length}> {
  let panel = base + (n / 16u) * ${panelBytes(layout, K) / 4}u;
  let lane = n % 16u;
  return array<u32, ${words.length}>(
    ${words.join(',\n    ')},
  );
}
`;
}

/** Statements of `decode`, of `raw`, `n` and `c`. */
function decodeBody(layout: WeightLayout): string {
  const spec = quantizedSpec(layout.kind);
  if (spec !== undefined) return decodeQuantized(layout, spec);
  const pairsOf = (at: (i: number) => string): string =>
    `return Pairs(${[0, 1, 4, 5].map((i) => `pair(${at(i)}, ${at(i + 2)})`).join(', ')});`;
  if (layout.kind === 'f32') return pairsOf((i) => `num(bitcast<f32>(raw[${i}]))`);
  if (layout.kind === 'f16') return pairsOf((i) => `half_at(raw[${i}], n)`);
  return pairsOf((i) => `num(bf16_at(raw[${i >> 1}], ${i & 1}u))`);
}

/** Number n of the words of a meta field, as f32. */
const storedOf = (layout: WeightLayout, word: string): string =>
  ({
    f32: `bitcast<f32>(${word})`,
    f16: `unpack2x16float(${word})[n & 1u]`,
    bf16: `bf16_at(${word}, n)`,
    e8m0: `e8m0_at(${word}, n)`,
    e4m3: `e4m3_at(${word}, n % 4u)`,
  })[layout.metaDtype];

function decodeQuantized(layout: WeightLayout, spec: QuantizedSpec): string {
  const words = codeOffsets(spec).length;
  const { steps, minimum } = metaPlaces(layout);
  const field = (word: number): string => {
    const stored = storedOf(layout, `raw[${word}]`);
    return steps === undefined ? stored : `${stored} * step_at(raw[${word + 1}], n)`;
  };
  const unit = spec.unit === undefined || spec.unit === 1 ? '' : ` * ${spec.unit}`;
  const scale = `let s = ${field(words)}${unit};`;
  if (spec.e4m3 === true) {
    const at = (i: number): string => `num(s * e4m3_at(raw[${i >> 2}], ${i & 3}u))`;
    return `${scale}\n  return Pairs(${[0, 1, 4, 5].map((i) => `pair(${at(i)}, ${at(i + 2)})`).join(', ')});`;
  }
  if (spec.table !== undefined) {
    const list = tableWords(spec.table).map((w) => `0x${w.toString(16)}u`);
    const at = (i: number): string =>
      `num(s * number_at(&numbers, raw[0] >> ${8 * (i & 3) + 4 * (i >> 2)}u))`;
    return `${scale}
  var numbers = array<u32, 4>(${list.join(', ')});
  return Pairs(${[0, 1, 4, 5].map((i) => `pair(${at(i)}, ${at(i + 2)})`).join(', ')});`;
  }
  const low =
    minimum === undefined ? `-${spec.zero ?? 0}.0 * s` : field(words + (steps === undefined ? 1 : 2));
  const offset = minimum !== undefined && steps !== undefined ? `-(${low})` : low;
  return `${scale}
  let m = ${offset};
  ${codePairs(spec)}`;
}

/** The statement that gives the pairs of an octet out of its words of codes. */
function codePairs({ bits }: QuantizedSpec): string {
  if (bits === 8) return 'return bytes(raw[0], raw[1], num(s), num(m));';
  if (bits === 4) return 'return nibbles(raw[0], num(s), num(m));';
  const base = bits >= 4 ? 4 : 2;
  // Codes of columns 0-3 and of 4-7 of the octet in bytes, plane by plane.
  const parts =
    base === 4
      ? ['raw[0] & 0x0f0f0f0fu', '(raw[0] >> 4u) & 0x0f0f0f0fu']
      : ['(raw[0] >> (4u * (c % 2u))) & 0x03030303u', '(raw[0] >> (4u * (c % 2u) + 2u)) & 0x03030303u'];
  const rest = (half: number): string => {
    if (bits === 6) return ` | (((raw[1] >> (4u * (c % 2u) + ${2 * half}u)) & 0x03030303u) << 4u)`;
    if (bits === 2) return '';
    return ` | (((raw[1] >> (2u * (c % 4u) + ${half}u)) & 0x01010101u) << ${base}u)`;
  };
  const [a, b] = parts.map((part, half) => `(${part})${rest(half)}`);
  return `return bytes(${a}, ${b}, num(s), num(m));`;
}

/** `decode_LAYOUT(raw, n, c)`: the numbers of raw words that `fetch` gave for row n and columns 8c … 8c+7. */
export const decodeFunction = (layout: WeightLayout): string =>
  `fn decode_${layoutName(layout)}(raw: array<u32, ${wordOffsets(layout, 256).length}>, n: u32, c: u32) -> Pairs {
  ${decodeBody(layout)}
}
`;
