// Packed weights as tiles want them: eight columns of one row at a time. `fetch` reads the raw words, `decode` turns them into
// numbers, so that a kernel can keep words in flight while it computes. Layouts: docs/layouts.md.

import { codesBytes, type LayoutKind, panelBytes, type WeightLayout } from '../../../quant/layout.ts';

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
export const layoutName = ({ kind, group, metaDtype }: WeightLayout): string =>
  kind === 'q4a' || kind === 'q8a' ? `${kind}_${group}_${metaDtype}` : kind;

/** WGSL expressions of the words of columns 8c … 8c+7 of lane `lane`, relative to the panel's start. */
function wordOffsets(layout: WeightLayout, K: number): readonly string[] {
  const meta = codesBytes(layout, K) / 4;
  const record = (group: number, words: number): string => `${meta}u + (c / ${group / 8}u) * ${words}u`;
  const half = 'lane / 2u';
  const quarter = 'lane / 4u';
  const list = (n: number, at: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => at(i));
  switch (layout.kind) {
    case 'f32':
      return list(8, (i) => `c * 128u + ${16 * i}u + lane`);
    case 'f16':
      return list(8, (i) => `c * 64u + ${8 * i}u + ${half}`);
    case 'bf16':
      return list(4, (i) => `c * 64u + ${16 * i}u + lane`);
    case 'q4':
      return ['c * 16u + lane', `${record(32, 8)} + ${half}`];
    case 'q8':
      return ['c * 32u + lane', 'c * 32u + 16u + lane', `${record(32, 8)} + ${half}`];
    case 'q4a':
    case 'q8a': {
      const codes = layout.kind === 'q4a' ? ['c * 16u + lane'] : ['c * 32u + lane', 'c * 32u + 16u + lane'];
      const wide = layout.metaDtype === 'f32';
      const at = `${record(layout.group, wide ? 32 : 16)} + ${wide ? 'lane' : half}`;
      return [...codes, at, `${at} + ${wide ? 16 : 8}u`];
    }
    case 'q4k': {
      const at = record(256, 80);
      const scale = `${at} + 16u + ((c / 4u) % 8u) * 4u + ${quarter}`;
      return ['c * 16u + lane', `${at} + ${half}`, `${at} + 8u + ${half}`, scale, `${scale} + 32u`];
    }
    case 'q6k': {
      const block = '(c / 4u) * 96u';
      const at = record(256, 72);
      return [
        `${block} + (c % 4u) * 16u + lane`,
        `${block} + 64u + ((c % 4u) / 2u) * 16u + lane`,
        `${at} + ${half}`,
        `${at} + 8u + ((c / 2u) % 16u) * 4u + ${quarter}`,
      ];
    }
  }
}

/** Whether word i of a float layout lies inside K columns, or undefined when all do. */
function wordGuard(kind: LayoutKind, K: number, i: number): string | undefined {
  if (K % 32 === 0) return undefined;
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

const affineMeta = (layout: WeightLayout, word: string): string =>
  ({
    f32: `num(bitcast<f32>(${word}))`,
    bf16: `num(bf16_at(${word}, n))`,
    f16: `half_at(${word}, n)`,
  })[layout.metaDtype];

/** Statements of `decode`, of `raw`, `n` and `c`. */
function decodeBody(layout: WeightLayout): string {
  const pairsOf = (at: (i: number) => string): string =>
    `return Pairs(${[0, 1, 4, 5].map((i) => `pair(${at(i)}, ${at(i + 2)})`).join(', ')});`;
  switch (layout.kind) {
    case 'f32':
      return pairsOf((i) => `num(bitcast<f32>(raw[${i}]))`);
    case 'f16':
      return pairsOf((i) => `half_at(raw[${i}], n)`);
    case 'bf16':
      return pairsOf((i) => `num(bf16_at(raw[${i >> 1}], ${i & 1}u))`);
    case 'q4':
      return 'let s = half_at(raw[1], n);\n  return nibbles(raw[0], s, -8 * s);';
    case 'q8':
      return 'let s = half_at(raw[2], n);\n  return bytes(raw[0], raw[1], s, -128 * s);';
    case 'q4a':
      return `return nibbles(raw[0], ${affineMeta(layout, 'raw[1]')}, ${affineMeta(layout, 'raw[2]')});`;
    case 'q8a':
      return `return bytes(raw[0], raw[1], ${affineMeta(layout, 'raw[2]')}, ${affineMeta(layout, 'raw[3]')});`;
    case 'q4k':
      return `let shift = 8u * (n % 4u);
  let s = unpack2x16float(raw[1])[n & 1u] * f32((raw[3] >> shift) & 0xffu);
  let m = unpack2x16float(raw[2])[n & 1u] * f32((raw[4] >> shift) & 0xffu);
  return nibbles(raw[0], num(s), num(-m));`;
    case 'q6k':
      return `let scale = i32(raw[3] << (24u - 8u * (n % 4u))) >> 24u;
  let s = unpack2x16float(raw[2])[n & 1u] * f32(scale);
  let low = raw[0];
  let high = raw[1] >> (4u * (c % 2u));
  let lows = 0x000f000fu;
  let highs = 0x00300030u;
  return scaled(
    (low & lows) | ((high << 4u) & highs),
    ((low >> 8u) & lows) | ((high >> 4u) & highs),
    ((low >> 4u) & lows) | ((high << 2u) & highs),
    ((low >> 12u) & lows) | ((high >> 6u) & highs),
    num(s), num(-32.0 * s));`;
  }
}

/** `decode_LAYOUT(raw, n, c)`: the numbers of raw words that `fetch` gave for row n and columns 8c … 8c+7. */
export const decodeFunction = (layout: WeightLayout): string =>
  `fn decode_${layoutName(layout)}(raw: array<u32, ${wordOffsets(layout, 256).length}>, n: u32, c: u32) -> Pairs {
  ${decodeBody(layout)}
}
`;
