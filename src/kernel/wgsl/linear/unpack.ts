// Packed weights in WGSL: functions that read the layouts of docs/layouts.md. A read covers four neighbouring rows (a quad
// of a panel) and eight columns (an octet): what one 16-byte load of 4-bit codes holds.

import {
  codeBlockBytes,
  codesBytes,
  layoutFromCodes,
  layoutKinds,
  metaFields,
  metaPlaces,
  metaRecord,
  panelBytes,
  panelRows,
  type QuantizedSpec,
  quantizedSpec,
  type WeightLayout,
} from '../../../quant/layout.ts';
import type { KernelName, ParamPlace } from '../../signature.ts';
import type { KernelRequest } from '../contract.ts';

/** Columns of an octet. */
export const octetColumns = 8;

/** The layout of the weights that these params of a dispatch describe. */
export const layoutOf = <K extends KernelName>(
  request: KernelRequest<K>,
  at: { readonly layout: ParamPlace; readonly group: ParamPlace; readonly metaDtype: ParamPlace },
): WeightLayout =>
  layoutFromCodes(request.constant(at.layout), request.constant(at.group), request.constant(at.metaDtype));

/** WGSL that the functions of all readers share; once per module. */
export const unpackFunctions = `struct Codes { a: vec4<u32>, b: vec4<u32> }
alias Octet = array<vec4<f32>, 8>;
fn f16x4(p: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y)); }
fn bf16x4(p: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(p.x << 16u, p.x & 0xffff0000u, p.y << 16u, p.y & 0xffff0000u));
}
fn half_of(v: vec4<u32>, odd: u32) -> vec2<u32> { return select(v.xy, v.zw, odd == 1u); }
fn bf16_of(v: vec4<u32>, odd: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(select(v << vec4<u32>(16u), v & vec4<u32>(0xffff0000u), odd == 1u));
}
fn u8x4(word: u32) -> vec4<f32> { return vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u)); }
fn i8x4(word: u32) -> vec4<f32> { return vec4<f32>((vec4<i32>(bitcast<i32>(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }
fn e8m0x4(word: u32) -> vec4<f32> {
  let e = (vec4<i32>(bitcast<vec4<i32>>(vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)))) & vec4<i32>(255);
  return bitcast<vec4<f32>>(max((e - 1) << vec4<u32>(23u), (e + 1) << vec4<u32>(21u)));
}
fn e4m3_of(v: vec4<u32>, shift: u32) -> vec4<f32> {
  let byte = v >> vec4<u32>(shift);
  let magnitude = byte & vec4<u32>(127u);
  let normal = (magnitude << vec4<u32>(20u)) + vec4<u32>(0x3c000000u);
  let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0.001953125);
  return bitcast<vec4<f32>>(select(normal, small, magnitude < vec4<u32>(8u)) | ((byte & vec4<u32>(128u)) << vec4<u32>(24u)));
}
fn e4m3x4(word: u32) -> vec4<f32> { return e4m3_of(vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u), 0u); }
fn small_code(v: vec4<u32>, shift: u32) -> vec4<f32> { return vec4<f32>((v >> vec4<u32>(shift)) & vec4<u32>(255u)); }
fn signed_code(v: vec4<u32>, shift: u32) -> vec4<f32> { return vec4<f32>((bitcast<vec4<i32>>(v) << vec4<u32>(24u - shift)) >> vec4<u32>(24u)); }
`;

/**
 * Functions that read the packed matrix bound as `name` (an `array<vec4<u32>>`). `panel` counts panels from the start of the
 * binding, `quad` is 0…3, `octet` counts columns in eights.
 *
 * - `NAME_values(panel, quad, octet) -> Octet`: the weights: element j holds column 8 octet + j of the quad's four rows.
 * - `NAME_raw(panel, quad, octet) -> Octet`: the same before scaling. Of a quantised layout, weight = scale · raw + offset.
 *
 * Quantised layouts only:
 * - `NAME_codes(panel, quad, octet) -> Codes`: the raw numbers as packed int8: word i of `a` has columns 0…3 of row i, of `b` 4…7.
 * - `NAME_scale(panel, quad, octet) -> vec4<f32>`, `NAME_offset(…)`: of the four rows. Columns of one `group` share them.
 */
export interface WeightReader {
  readonly code: string;
  readonly quantized: boolean;
  /** `offset = zero · scale` for all groups, or undefined where offsets are stored. */
  readonly zero: number | undefined;
  /** Octets that share a scale. */
  readonly groupOctets: number;
  /** Loads of 16 bytes that an octet takes. */
  readonly octetLoads: number;
}

/** @param base Where the first panel starts in the binding, in units of 16 bytes. */
export function weightReader(name: string, layout: WeightLayout, K: number, base = 0): WeightReader {
  const panel = `panel * ${panelBytes(layout, K) / 16}u${base === 0 ? '' : ` + ${base}u`}`;
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) {
    return {
      code: floatReader(name, layout, K, panel),
      quantized: false,
      zero: undefined,
      groupOctets: 1,
      octetLoads: layout.kind === 'bf16' ? 4 : 8,
    };
  }
  const { offset, zero } = offsetOf(layout, spec);
  const integers = spec.e4m3 !== true;
  const code = `fn ${name}_codes(panel: u32, quad: u32, octet: u32) -> Codes {
  let at = ${panel};
${codesBody(name, spec)}
}
fn ${name}_meta(panel: u32, octet: u32) -> u32 {
  return ${panel} + ${codesBytes(layout, K) / 16}u + (octet / ${metaRecord(layout).columns / octetColumns}u) * ${metaRecord(layout).bytes / 16}u;
}
fn ${name}_scale(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = ${name}_meta(panel, octet);
  return ${scaleOf(name, layout, spec)};
}
${integers ? integerFunctions(name, layout, spec, offset(name)) : floatFunctions(name)}
`;
  return {
    code,
    quantized: integers,
    zero,
    groupOctets: integers ? layout.group / octetColumns : 1,
    octetLoads: spec.bits === 4 || spec.bits === 2 ? 1 : 2,
  };
}

/** Whether there is WGSL that reads a layout: there is for every one of the table. */
export const isReadable = ({ kind }: WeightLayout): boolean => layoutKinds.includes(kind);

const integerFunctions = (name: string, layout: WeightLayout, spec: QuantizedSpec, offset: string): string =>
  `${rawFunction(name, spec)}
fn ${name}_offset(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = ${name}_meta(panel, octet);
  return ${offset};
}
${valuesFunction(name, layout, spec)}`;

/** Codes that are floats are numbers at once: such layouts are read like unquantised ones. */
const floatFunctions = (name: string): string =>
  `fn ${name}_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  let c = ${name}_codes(panel, quad, octet);
  let s = ${name}_scale(panel, quad, octet);
  return Octet(${each8((j) => `s * e4m3_of(c.${j < 4 ? 'a' : 'b'}, ${8 * (j % 4)}u)`)});
}
fn ${name}_values(panel: u32, quad: u32, octet: u32) -> Octet { return ${name}_raw(panel, quad, octet); }`;

/** Octets of a row of K columns. */
export const octetsOf = (K: number): number => Math.ceil(K / octetColumns);

function floatReader(name: string, { kind }: WeightLayout, K: number, panel: string): string {
  const load = {
    f32: `bitcast<vec4<f32>>(${name}[at + k * 4u + quad])`,
    f16: `f16x4(half_of(${name}[at + k * 2u + (quad >> 1u)], quad & 1u))`,
    bf16: `bf16_of(${name}[at + (k >> 1u) * 4u + quad], k & 1u)`,
  }[kind as 'f32' | 'f16' | 'bf16'];
  const read =
    K % octetColumns === 0
      ? `  let k = column;
  return ${load};`
      : `  let k = min(column, ${K - 1}u);
  return select(vec4<f32>(), ${load}, column < ${K}u);`;
  return `fn ${name}_column(panel: u32, quad: u32, column: u32) -> vec4<f32> {
  let at = ${panel};
${read}
}
fn ${name}_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  return Octet(${each8((j) => `${name}_column(panel, quad, octet * 8u + ${j}u)`)});
}
fn ${name}_values(panel: u32, quad: u32, octet: u32) -> Octet { return ${name}_raw(panel, quad, octet); }
`;
}

const each8 = (text: (j: number) => string): string =>
  Array.from({ length: 8 }, (_, j) => text(j)).join(', ');

/** Codes are read signed where they have 8 bits: those of a table, and unsigned ones once their highest bit is turned. */
const isSigned = ({ bits, table }: QuantizedSpec): boolean => bits === 8 || table !== undefined;

/** Statements that give the codes of an octet: `v` and so on are words of a plane of bits. */
function codesBody(name: string, spec: QuantizedSpec): string {
  const { bits, table, e4m3 } = spec;
  if (bits === 8) {
    const sign = e4m3 === true ? '' : ' ^ vec4<u32>(0x80808080u)';
    return `  return Codes(${name}[at + octet * 8u + quad]${sign}, ${name}[at + octet * 8u + 4u + quad]${sign});`;
  }
  const base = bits >= 4 ? 4 : 2;
  const rest = bits - base;
  const lines = [`  let block = at + (octet >> 2u) * ${codeBlockBytes(spec) / 16}u + quad;`];
  if (base === 4) {
    lines.push(
      `  let v = ${name}[block + (octet & 3u) * 4u];`,
      '  var a = v & vec4<u32>(0x0f0f0f0fu);',
      '  var b = (v >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);',
    );
  } else lines.push('  var a = vec4<u32>();', '  var b = vec4<u32>();');
  // Places of the plane of pairs and of that of single bits: words of 16 bytes from the block on.
  if (base === 2 || rest === 2) {
    const to = base === 2 ? 0 : 4;
    lines.push(
      `  let pairs = ${name}[block + ${base === 2 ? 0 : 16}u + ((octet >> 1u) & 1u) * 4u] >> vec4<u32>((octet & 1u) * 4u);`,
      `  a |= (pairs & vec4<u32>(0x03030303u)) << vec4<u32>(${to}u);`,
      `  b |= ((pairs >> vec4<u32>(2u)) & vec4<u32>(0x03030303u)) << vec4<u32>(${to}u);`,
    );
  }
  if (rest === 1) {
    lines.push(
      `  let singles = ${name}[block + ${4 * base}u] >> vec4<u32>((octet & 3u) * 2u);`,
      `  a |= (singles & vec4<u32>(0x01010101u)) << vec4<u32>(${base}u);`,
      `  b |= ((singles >> vec4<u32>(1u)) & vec4<u32>(0x01010101u)) << vec4<u32>(${base}u);`,
    );
  }
  if (table === undefined) return `${lines.join('\n')}\n  return Codes(a, b);`;
  const words = tableWords(table);
  lines.push(
    `  let numbers = array<u32, 4>(${words.map((w) => `0x${w.toString(16)}u`).join(', ')});`,
    '  var found = Codes(vec4<u32>(), vec4<u32>());',
    '  for (var j = 0u; j < 32u; j += 8u) {',
    ...['a', 'b'].flatMap((half) => [
      `    let q${half} = (${half} >> vec4<u32>(j)) & vec4<u32>(15u);`,
      `    let w${half} = vec4<u32>(${[0, 1, 2, 3].map((lane) => `numbers[q${half}[${lane}] >> 2u]`).join(', ')});`,
      `    found.${half} |= ((w${half} >> ((q${half} & vec4<u32>(3u)) * 8u)) & vec4<u32>(255u)) << vec4<u32>(j);`,
    ]),
    '  }',
    '  return found;',
  );
  return lines.join('\n');
}

/** The numbers of a table as bytes of four words. */
export const tableWords = (table: readonly number[]): readonly number[] =>
  [0, 4, 8, 12].map((at) =>
    table.slice(at, at + 4).reduce((word, n, i) => (word | ((n & 255) << (8 * i))) >>> 0, 0),
  );

function rawFunction(name: string, spec: QuantizedSpec): string {
  const element = (j: number): string =>
    `${isSigned(spec) ? 'signed_code' : 'small_code'}(c.${j < 4 ? 'a' : 'b'}, ${8 * (j % 4)}u)`;
  return `fn ${name}_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  let c = ${name}_codes(panel, quad, octet);
  return Octet(${each8(element)});
}`;
}

/** Byte of a meta field in its record. */
export const fieldByte = (layout: WeightLayout, field: number): number =>
  panelRows *
  metaFields(layout)
    .slice(0, field)
    .reduce((sum, bytes) => sum + bytes, 0);

/** Four numbers of the layout's meta type from byte `skip` of the record on, for rows that are stored 16 in turn. */
function metaOf(name: string, metaDtype: WeightLayout['metaDtype'], skip: number): string {
  const at = `at + ${skip / 16}u`;
  switch (metaDtype) {
    case 'f32':
      return `bitcast<vec4<f32>>(${name}[${at} + quad])`;
    case 'f16':
    case 'bf16':
      return `${metaDtype}x4(half_of(${name}[${at} + (quad >> 1u)], quad & 1u))`;
    case 'e8m0':
    case 'e4m3':
      return `${metaDtype}x4(${name}[${at}][quad])`;
  }
}

/** A scale or minimum of a record: its field, times the steps of the group of the octet. */
function fieldOf(name: string, layout: WeightLayout, field: number, steps: number | undefined): string {
  const stored = metaOf(name, layout.metaDtype, fieldByte(layout, field));
  if (steps === undefined) return stored;
  const octets = layout.group / octetColumns;
  const group = `((octet / ${octets}u) & ${metaRecord(layout).columns / layout.group - 1}u)`;
  return `${stored} * i8x4(${name}[at + ${fieldByte(layout, steps) / 16}u + ${group}][quad])`;
}

function scaleOf(name: string, layout: WeightLayout, { unit = 1 }: QuantizedSpec): string {
  const places = metaPlaces(layout);
  const scale = fieldOf(name, layout, places.scale, places.steps);
  return unit === 1 ? scale : `${scale} * ${unit}`;
}

/** Offsets as WGSL, and their ratio to the scales where it is fixed. */
function offsetOf(
  layout: WeightLayout,
  spec: QuantizedSpec,
): { offset: (name: string) => string; zero: number | undefined } {
  if (spec.minimum === true) {
    const minimum = (name: string): string => minimumOf(name, layout);
    // 8-bit codes are stored unsigned and read as signed.
    const offset = (name: string): string =>
      spec.bits === 8 ? `${minimum(name)} + 128.0 * ${scaleOf(name, layout, spec)}` : minimum(name);
    return { offset, zero: undefined };
  }
  const zero = isSigned(spec) ? 0 : -(spec.zero ?? 0);
  return { offset: (name) => `${zero}.0 * ${scaleOf(name, layout, spec)}`, zero };
}

function minimumOf(name: string, layout: WeightLayout): string {
  const { minimum = 0, minimumSteps } = metaPlaces(layout);
  const stored = fieldOf(name, layout, minimum, minimumSteps);
  return minimumSteps === undefined ? stored : `-(${stored})`;
}

/** Weights as docs/layouts.md defines them: one rounding where the scales are halves. */
function valuesFunction(name: string, layout: WeightLayout, spec: QuantizedSpec): string {
  const { zero } = offsetOf(layout, spec);
  // 8-bit codes with a minimum: the stored number, so that scale and offset are those of the source.
  const add = zero ?? (spec.bits === 8 ? 128 : 0);
  const minimum =
    zero === undefined
      ? `  let at = ${name}_meta(panel, octet);\n  let m = ${minimumOf(name, layout)};\n`
      : '';
  const sum = zero === undefined ? ' + m' : '';
  return `fn ${name}_values(panel: u32, quad: u32, octet: u32) -> Octet {
  let q = ${name}_raw(panel, quad, octet);
  let s = ${name}_scale(panel, quad, octet);
${minimum}  return Octet(${each8((j) => `s * (q[${j}]${add === 0 ? '' : ` + ${add}.0`})${sum}`)});
}`;
}
