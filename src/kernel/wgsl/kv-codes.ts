// Rows of keys and values as codes (quant/kv-rows.ts) in WGSL: words of a row from the numbers of a head, and numbers from words.

import { isTurbo, type KvCodes, kvBorders, kvCodeBits, kvCodebook, kvRowSizes } from '../../quant/kv-rows.ts';
import type { CacheUnit } from './attention/shape.ts';

/** Words of a row, and where its scales begin. */
function wordsOf(codes: KvCodes, headDim: number): { readonly words: number; readonly scales: number } {
  const { bytes, scales } = kvRowSizes(codes, headDim);
  return { words: bytes / 4, scales: scales / 4 };
}

const list = (numbers: ArrayLike<number>): string =>
  Array.from(numbers, (x) => `${x.toPrecision(9)}f`).join(', ');

const levels = (codes: KvCodes): string =>
  isTurbo(codes) ? `const levels = array<f32, ${2 ** kvCodeBits[codes]}>(${list(kvCodebook(codes))});\n` : '';

/** The scale of a group in the low half, in q4 its minimum in the high half. */
const metaOf = (codes: KvCodes, scales: number, group: string): string =>
  codes === 'q4'
    ? `cache[base + ${scales}u + ${group}]`
    : `(cache[base + ${scales}u + ${group} / 2u] >> (16u * (${group} & 1u)))`;

/**
 * How a row of a cache is read: a unit is a word of codes (of 3 bits, the words with the low and the high bits of 16 columns) with
 * the scale of its group.
 */
export function codedUnit(codes: KvCodes, headDim: number): CacheUnit {
  const { words, scales } = wordsOf(codes, headDim);
  const { group } = kvRowSizes(codes, headDim);
  const bits = kvCodeBits[codes];
  const columns = bits === 3 ? 16 : 32 / bits;
  const high =
    bits === 3 ? `(cache[base + ${headDim / 16}u + unit / 2u] >> (16u * (unit & 1u))) & 0xffffu` : '0u';
  const pieces = columns / 4;
  const reader = (name: string): string =>
    `fn ${name}_unit(row: u32, unit: u32) -> vec3<u32> {
  let base = row * ${words}u;
  let group = unit * ${columns}u / ${group}u;
  return vec3<u32>(cache[base + unit], ${high}, ${metaOf(codes, scales, 'group')});
}
`.replaceAll('cache[', `${name}[`);
  return {
    type: 'u32',
    units: headDim / columns,
    pieces,
    lanes: 4,
    piece: 'vec4<f32>',
    load: (cache, row, unit) => `${cache}_unit(${row}, ${unit})`,
    code: `${levels(codes)}${decoder(codes)}${reader('k_cache')}${reader('v_cache')}`,
    decode: (unit, i) => `decoded(${unit}, ${i}u)`,
    dot: (a, b) => `dot(${a}, ${b})`,
  };
}

function decoder(codes: KvCodes): string {
  const bits = kvCodeBits[codes];
  if (codes === 'q8') {
    return `fn decoded(unit: vec3<u32>, i: u32) -> vec4<f32> {
  let x = unit.x;
  return vec4<f32>(vec4<i32>(vec4<u32>(x << 24u, x << 16u, x << 8u, x)) >> vec4<u32>(24u)) * unpack2x16float(unit.z).x;
}
`;
  }
  if (codes === 'q4') {
    return `fn decoded(unit: vec3<u32>, i: u32) -> vec4<f32> {
  let range = unpack2x16float(unit.z);
  return vec4<f32>((vec4<u32>(unit.x >> (16u * i)) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) * range.x + range.y;
}
`;
  }
  const low = Math.min(bits, bits === 4 ? 4 : 2);
  const shifts = [0, 1, 2, 3].map((n) => `${n * low}u`).join(', ');
  const third =
    bits === 3
      ? ' | (((vec4<u32>(unit.y >> (4u * i)) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) << vec4<u32>(2u))'
      : '';
  return `fn decoded(unit: vec3<u32>, i: u32) -> vec4<f32> {
  let c = ((vec4<u32>(unit.x >> (${4 * low}u * i)) >> vec4<u32>(${shifts})) & vec4<u32>(${2 ** low - 1}u))${third};
  return vec4<f32>(levels[c.x], levels[c.y], levels[c.z], levels[c.w]) * unpack2x16float(unit.z).x;
}
`;
}

/** `coded_word(base, word)`: a word of the row of the head whose numbers are in `staged` from `base` on. Needs `f16_bits`. */
export function codedWords(
  codes: KvCodes,
  headDim: number,
): { readonly words: number; readonly code: string } {
  const { words, scales } = wordsOf(codes, headDim);
  const { group, groups } = kvRowSizes(codes, headDim);
  const bits = kvCodeBits[codes];
  const each = (n: number, shift: number, column: string, code: string): string =>
    `  for (var i = 0u; i < ${n}u; i++) { word |= ((${code}) << (i * ${shift}u)); }\n`.replaceAll(
      'COLUMN',
      column,
    );
  const code = 'code_of(base + COLUMN, group_of(base, COLUMN))';
  const body =
    bits === 3
      ? `  if (w < ${headDim / 16}u) {\n  ${each(16, 2, '(16u * w + i)', `${code} & 3u`)}  } else {
    let first = 32u * (w - ${headDim / 16}u);
  ${each(Math.min(32, headDim), 1, 'min(first + i, LAST)', `select(0u, ${code} >> 2u, first + i < ${headDim}u)`).replaceAll('LAST', `${headDim - 1}u`)}  }\n`
      : each(32 / bits, bits, `(${32 / bits}u * w + i)`, bits === 8 ? `${code} & 0xffu` : code);
  const meta =
    codes === 'q4'
      ? `    return meta_of(base + (w - ${scales}u) * ${group}u);`
      : `    let g = 2u * (w - ${scales}u);
    return meta_of(base + g * ${group}u) | select(0u, meta_of(base + min(g + 1u, ${groups - 1}u) * ${group}u) << 16u, g + 1u < ${groups}u);`;
  return {
    words,
    code: `${levels(codes)}${groupCode(codes, group)}
fn group_of(base: u32, column: u32) -> u32 { return base + column / ${group}u * ${group}u; }
fn coded_word(base: u32, w: u32) -> u32 {
  if (w >= ${scales}u) {
${meta}
  }
  var word = 0u;
${body}  return word;
}
`,
  };
}

const half = 'fn half_of(x: f32) -> u32 { return f16_bits(clamp(x, -65504.0, 65504.0)); }\n';
const inverse = 'fn inverse_of(x: f32) -> f32 { return select(1.0 / x, 0.0, x == 0.0); }\n';

/** `meta_of(at)` of the group that begins at `at`, and `code_of(i, at)` of a number of it. */
function groupCode(codes: KvCodes, group: number): string {
  const loop = (line: string): string => `  for (var i = 0u; i < ${group}u; i++) { ${line} }\n`;
  if (codes === 'q8') {
    return `${half}${inverse}fn meta_of(at: u32) -> u32 {
  var peak = 0.0;
${loop('peak = max(peak, abs(staged[at + i]));')}  return half_of(peak / 127.0);
}
fn code_of(i: u32, at: u32) -> u32 {
  let inverse = inverse_of(unpack2x16float(meta_of(at)).x);
  return u32(i32(round(clamp(staged[i] * inverse, -127.0, 127.0))));
}`;
  }
  if (codes === 'q4') {
    return `${half}${inverse}fn meta_of(at: u32) -> u32 {
  var low = staged[at];
  var high = low;
${loop('low = min(low, staged[at + i]); high = max(high, staged[at + i]);')}  let bits = half_of(low) & select(0xffffu, 0u, low == 0.0);
  let scale = half_of(max(0.0, high - unpack2x16float(bits).x) / 15.0);
  return scale | (bits << 16u);
}
fn code_of(i: u32, at: u32) -> u32 {
  let range = unpack2x16float(meta_of(at));
  return u32(round(clamp((staged[i] - range.y) * inverse_of(range.x), 0.0, 15.0)));
}`;
  }
  const borders = isTurbo(codes) ? kvBorders(kvCodebook(codes)) : [];
  return `${half}${inverse}const borders = array<f32, ${borders.length}>(${list(borders)});
fn square_of(at: u32) -> f32 {
  var square = 0.0;
${loop('square += staged[at + i] * staged[at + i];')}  return square;
}
fn level_code(x: f32) -> u32 {
  var code = 0u;
  for (var i = 0u; i < ${borders.length}u; i++) { code += select(0u, 1u, x > borders[i]); }
  return code;
}
fn code_of(i: u32, at: u32) -> u32 {
  return level_code(staged[i] * inverse_of(sqrt(square_of(at) / ${group}.0)));
}
fn meta_of(at: u32) -> u32 {
  let square = square_of(at);
  let inverse = inverse_of(sqrt(square / ${group}.0));
  var length = 0.0;
${loop('let level = levels[level_code(staged[at + i] * inverse)]; length += level * level;')}  return half_of(sqrt(square / length));
}`;
}
