// Packed weights in WGSL: functions that read the layouts of docs/layouts.md. A read covers four neighbouring rows (a quad
// of a panel) and eight columns (an octet): what one 16-byte load of 4-bit codes holds.

import { invariant } from '../../../base/errors.ts';
import {
  codesBytes,
  isFloatLayout,
  type LayoutKind,
  layoutKinds,
  metaRecord,
  panelBytes,
  type WeightLayout,
} from '../../../quant/layout.ts';
import type { KernelName, ParamPlace } from '../../signature.ts';
import type { KernelRequest } from '../contract.ts';

/** Columns of an octet. */
export const octetColumns = 8;

/** The layout that a kernel's params (layout code, group, metaDtype) describe. */
function layoutFromParams(code: number, group: number, metaDtype: number): WeightLayout {
  const kind = layoutKinds[code];
  const meta = (['f32', 'f16', 'bf16'] as const)[metaDtype];
  invariant(kind !== undefined && meta !== undefined, `layout ${code} with metaDtype ${metaDtype}`);
  return { kind, group, metaDtype: meta };
}

/** The layout of the weights that these params of a dispatch describe. */
export const layoutOf = <K extends KernelName>(
  request: KernelRequest<K>,
  at: { readonly layout: ParamPlace; readonly group: ParamPlace; readonly metaDtype: ParamPlace },
): WeightLayout =>
  layoutFromParams(request.constant(at.layout), request.constant(at.group), request.constant(at.metaDtype));

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
  const octetLoads = octetLoadsOf(layout);
  if (isFloatLayout(layout)) {
    return {
      code: floatReader(name, layout, K, panel),
      quantized: false,
      zero: undefined,
      groupOctets: 1,
      octetLoads,
    };
  }
  const { offset, zero } = offsetOf(layout);
  const code = `fn ${name}_codes(panel: u32, quad: u32, octet: u32) -> Codes {
  let at = ${panel};
${codesBody(name, layout)}
}
${rawFunction(name, layout)}
fn ${name}_meta(panel: u32, octet: u32) -> u32 {
  return ${panel} + ${codesBytes(layout, K) / 16}u + ${recordOf(layout)} * ${metaRecord(layout).bytes / 16}u;
}
fn ${name}_scale(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = ${name}_meta(panel, octet);
  return ${scaleOf(name, layout)};
}
fn ${name}_offset(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = ${name}_meta(panel, octet);
  return ${offset(name)};
}
${valuesFunction(name, layout)}
`;
  return { code, quantized: true, zero, groupOctets: layout.group / octetColumns, octetLoads };
}

const octetLoads: Readonly<Partial<Record<LayoutKind, number>>> = {
  f32: 8,
  f16: 8,
  bf16: 4,
  q8: 2,
  q8a: 2,
  q6k: 2,
  q4: 1,
  q4a: 1,
  q4k: 1,
};

/** Whether there is WGSL that reads a layout. */
export const isReadable = ({ kind }: WeightLayout): boolean => octetLoads[kind] !== undefined;

function octetLoadsOf({ kind }: WeightLayout): number {
  const loads = octetLoads[kind];
  invariant(loads !== undefined, `no WGSL reads the layout ${kind}`);
  return loads;
}

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

function codesBody(name: string, { kind }: WeightLayout): string {
  switch (kind) {
    case 'q8':
    case 'q8a':
      return `  let sign = vec4<u32>(0x80808080u);
  return Codes(${name}[at + octet * 8u + quad] ^ sign, ${name}[at + octet * 8u + 4u + quad] ^ sign);`;
    case 'q6k':
      return `  let block = at + (octet >> 2u) * 24u + quad;
  let low = ${name}[block + (octet & 3u) * 4u];
  let high = ${name}[block + 16u + ((octet >> 1u) & 1u) * 4u] >> vec4<u32>((octet & 1u) * 4u);
  let nibble = vec4<u32>(0x0f0f0f0fu);
  let pair = vec4<u32>(0x30303030u);
  return Codes((low & nibble) | ((high << vec4<u32>(4u)) & pair), ((low >> vec4<u32>(4u)) & nibble) | ((high << vec4<u32>(2u)) & pair));`;
    default:
      return `  let v = ${name}[at + octet * 4u + quad];
  let nibble = vec4<u32>(0x0f0f0f0fu);
  return Codes(v & nibble, (v >> vec4<u32>(4u)) & nibble);`;
  }
}

function rawFunction(name: string, { kind }: WeightLayout): string {
  const signed = kind === 'q8' || kind === 'q8a';
  const element = (j: number): string =>
    `${signed ? 'signed_code' : 'small_code'}(c.${j < 4 ? 'a' : 'b'}, ${8 * (j % 4)}u)`;
  return `fn ${name}_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  let c = ${name}_codes(panel, quad, octet);
  return Octet(${each8(element)});
}`;
}

/** Number of the meta record of an octet. */
function recordOf({ kind, group }: WeightLayout): string {
  if (kind === 'q4k' || kind === 'q6k') return '(octet >> 5u)';
  return `(octet / ${group / octetColumns}u)`;
}

/** Four numbers of the layout's meta type at `at + skip` (in 16 bytes), for rows that are stored 16 in turn. */
function metaOf(name: string, metaDtype: WeightLayout['metaDtype'], skip: number): string {
  if (metaDtype === 'f32') return `bitcast<vec4<f32>>(${name}[at + ${4 * skip}u + quad])`;
  return `${metaDtype}x4(half_of(${name}[at + ${2 * skip}u + (quad >> 1u)], quad & 1u))`;
}

function scaleOf(name: string, { kind, metaDtype }: WeightLayout): string {
  const first = metaOf(name, metaDtype, 0);
  if (kind === 'q4k') return `${first} * u8x4(${name}[at + 4u + ((octet >> 2u) & 7u)][quad])`;
  if (kind === 'q6k') return `${first} * i8x4(${name}[at + 2u + ((octet >> 1u) & 15u)][quad])`;
  return first;
}

/** Offsets as WGSL, and their ratio to the scales where it is fixed. */
function offsetOf(layout: WeightLayout): { offset: (name: string) => string; zero: number | undefined } {
  const { kind, metaDtype } = layout;
  switch (kind) {
    case 'q4k':
      return {
        offset: (name) =>
          `-(${metaOf(name, metaDtype, 1)} * u8x4(${name}[at + 12u + ((octet >> 2u) & 7u)][quad]))`,
        zero: undefined,
      };
    case 'q4a':
      return { offset: (name) => metaOf(name, metaDtype, 1), zero: undefined };
    case 'q8a': // codes are stored unsigned and read as signed
      return {
        offset: (name) => `${metaOf(name, metaDtype, 1)} + 128.0 * ${metaOf(name, metaDtype, 0)}`,
        zero: undefined,
      };
    default: {
      const zero = kind === 'q4' ? -8 : kind === 'q6k' ? -32 : 0;
      return { offset: (name) => `${zero}.0 * ${scaleOf(name, layout)}`, zero };
    }
  }
}

/** Weights as docs/layouts.md defines them: one rounding where the scales are halves. */
function valuesFunction(name: string, layout: WeightLayout): string {
  const zero = offsetOf(layout).zero;
  const [shift, sum] = zero === undefined ? [0, ' + m'] : [zero, ''];
  // q8a: the stored number, so that scale and offset are those of the source.
  const [add, offset] =
    layout.kind === 'q8a'
      ? [128, metaOf(name, layout.metaDtype, 1)]
      : [shift, `${name}_offset(panel, quad, octet)`];
  const meta = layout.kind === 'q8a' ? `  let at = ${name}_meta(panel, octet);\n` : '';
  const m = zero === undefined ? `${meta}  let m = ${offset};\n` : '';
  return `fn ${name}_values(panel: u32, quad: u32, octet: u32) -> Octet {
  let q = ${name}_raw(panel, quad, octet);
  let s = ${name}_scale(panel, quad, octet);
${m}  return Octet(${each8((j) => `s * (q[${j}]${add === 0 ? '' : ` + ${add}.0`})${sum}`)});
}`;
}
