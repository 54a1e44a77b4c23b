// `linear` for few rows: the whole fused op in one pass, unless weights or their number exceed what a pass can bind.

import { invariant } from '../../../base/errors.ts';
import type { GpuBinding, GpuCapabilities, GpuPass, GpuVariant, KernelRequest } from '../contract.ts';
import { grid } from '../contract.ts';
import { gluFunction } from './epilogue.ts';
import { geometries, geometryName, type RowWork, weightWork } from './geometry.ts';
import type { RowOutput } from './row-plan.ts';
import { rowCode } from './rows.ts';
import type { LinearSegment, LinearShape } from './shape.ts';
import { type WeightReader, weightReader } from './unpack.ts';
import { type PanelWindow, panelsOf, panelWindows } from './windows.ts';
import { normReader, rowReader, rowType } from './x-input.ts';

/** Rows that share a load of a weight; a run takes the first of these that covers its rows. */
const rowBlocks = [1, 2, 4, 8] as const;

/** Variants for up to `most` rows, or any number when it is undefined. */
export function rowVariants(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  most?: number,
): readonly GpuVariant[] {
  const last = rowBlocks[rowBlocks.length - 1] ?? 1;
  const { rows } = shape;
  const rowsOf = request.inRun(request.p.rows);
  return rowBlocks
    .filter((block) => rows === undefined || block === (rowBlocks.find((b) => rows <= b) ?? last))
    .map((block) => {
      const passes = rowPasses(request, shape, block);
      const limit = block === last ? most : block;
      return limit === undefined ? { passes } : { passes, when: (params) => rowsOf(params) <= limit };
    });
}

/** What one output of a pass computes. */
interface Part {
  /** One segment, or gate and up. */
  readonly segments: readonly LinearSegment[];
  /** Of each segment; they cover the same panels. */
  readonly windows: readonly PanelWindow[];
}

function rowPasses(request: KernelRequest<'linear'>, shape: LinearShape, block: number): readonly GpuPass[] {
  const groups: Part[][] = [];
  const { caps } = request;
  for (const part of partsOf(shape, caps)) {
    const open = groups.at(-1);
    // Parts of one matrix write one y, which a pass cannot bind twice.
    const shared = open?.some(({ segments }) => segments[0] === part.segments[0]) === true;
    if (open !== undefined && !shared && storageBuffers(shape, [...open, part]) <= caps.maxStorageBuffers)
      open.push(part);
    else groups.push([part]);
  }
  return groups.map((parts) => rowPass(request, shape, block, parts));
}

function partsOf(shape: LinearShape, caps: GpuCapabilities): readonly Part[] {
  const outputs = shape.glu === 'none' ? shape.segments.map((s) => [s]) : [shape.segments];
  return outputs.flatMap((segments) => {
    const layouts = segments.map(({ layout, N }) =>
      panelWindows({ layout, K: shape.K, count: panelsOf(N), unit: 1 }, caps),
    );
    const [first = [], second] = layouts;
    return first.map((w, i): Part => ({ segments, windows: second?.[i] ? [w, second[i]] : [w] }));
  });
}

function storageBuffers(shape: LinearShape, parts: readonly Part[]): number {
  const own = parts.flatMap(({ segments }) => segments.flatMap((s) => [s.w, s.bias, s.y]));
  return (
    1 + Number(shape.norm !== undefined) + Number(shape.residual) + own.filter((b) => b !== undefined).length
  );
}

function rowPass(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  block: number,
  parts: readonly Part[],
): GpuPass {
  const { caps } = request;
  const bindings = [...inputBindings(request, shape)];
  const outputs = parts.map((part, i) => rowOutput(shape, part, i, bindings));
  const readers = outputs.flatMap((o) => o.streams.map((s) => s.reader));
  const work: RowWork = {
    precision: shape.precision,
    rows: block,
    octets: shape.octets,
    panels: outputs.reduce((n, o) => n + o.panels, 0),
    streams: Math.max(...outputs.map((o) => o.streams.length)),
    ...weightWork(readers),
  };
  const geometry = chosenGeometry(request, `linear_row ${keyOf(shape, parts)}`, work);
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps,
    outputs,
    input: `${inputFunctions(request, shape, block)}${gluFunction(shape.glu)}`,
    norm: shape.norm && { K: shape.K, eps: shape.norm.eps },
    rowCount: rowCountOf(request),
  });
  return {
    name: `linear ${shape.segments[0]?.layout.kind ?? ''} rows ${block}`,
    enables,
    bindings,
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(Math.ceil(rows / block) * groups)),
  };
}

/** The geometry chosen for a shape class. */
export function chosenGeometry(request: KernelRequest, key: string, work: RowWork) {
  const all = geometries(work, request.caps);
  const name = request.choose(`${key} R${work.rows} ${work.precision}`, all.map(geometryName));
  const found = all.find((g) => geometryName(g) === name) ?? all[0];
  invariant(found !== undefined, `${request.name}: workgroup memory is too small for ${key}`);
  return found;
}

function keyOf({ K, glu }: LinearShape, parts: readonly Part[]): string {
  const sizes = parts.map(({ segments: [s], windows: [w] }) => `${s?.layout.kind}:${(w?.panels ?? 0) * 16}`);
  return `K${K} N${sizes.join('+')}${glu === 'none' ? '' : ' glu'}`;
}

export const rowCountOf = (request: KernelRequest<'linear'>): string => `u32(${request.int(request.p.rows)})`;

function inputBindings(request: KernelRequest<'linear'>, shape: LinearShape): readonly GpuBinding[] {
  const type = rowType(shape.K);
  const list: GpuBinding[] = [{ buffer: request.b.x, name: 'x', type, access: 'read' }];
  if (shape.norm !== undefined)
    list.push({ buffer: request.b.normWeight, name: 'norm_weight', type, access: 'read' });
  if (shape.residual)
    list.push({ buffer: request.b.residual, name: 'residual', type: 'array<f32>', access: 'read' });
  return list;
}

/** `x_octet` and `norm_octet`. */
function inputFunctions(request: KernelRequest<'linear'>, { K, norm }: LinearShape, block: number): string {
  const guard = block === 1 ? '' : `  if (row >= ${rowCountOf(request)}) { return Eight(); }\n`;
  const x = `${rowReader('x', K)}fn x_octet(row: u32, octet: u32) -> Eight {
${guard}  return x_eight(row, octet);
}
`;
  return norm === undefined ? x : `${x}${normReader(K, norm.offset)}`;
}

/** Adds the bindings of a part. */
function rowOutput(shape: LinearShape, part: Part, i: number, bindings: GpuBinding[]): RowOutput {
  const streams = part.segments.map(({ w, layout }, s): { name: string; reader: WeightReader } => {
    const name = `w${i}${s === 0 ? '' : '_up'}`;
    const window = part.windows[s];
    const whole = window?.window && { window: window.window };
    bindings.push({ buffer: w, name, type: 'array<vec4<u32>>', access: 'read', ...whole });
    return { name, reader: weightReader(name, layout, shape.K, window?.base) };
  });
  part.segments.forEach(({ bias }, s) => {
    if (bias === undefined) return;
    bindings.push({ buffer: bias, name: biasName(i, s), type: 'array<f32>', access: 'read' });
  });
  const [{ y = 0, N } = { y: 0, N: 0 }] = part.segments;
  bindings.push({ buffer: y, name: `y${i}`, type: 'array<f32>', access: 'read_write' });
  const { first = 0, panels = 0 } = part.windows[0] ?? {};
  return { streams, panels, store: storeStatement(shape, part, i, { N, first }) };
}

const biasName = (i: number, s: number): string => `bias${i}${s === 0 ? '' : '_up'}`;

function storeStatement(
  shape: LinearShape,
  { segments }: Part,
  i: number,
  { N, first }: { N: number; first: number },
): string {
  const [gate = 'v0', up] = segments.map(({ bias }, s) =>
    bias === undefined ? `v${s}` : `v${s} + ${biasName(i, s)}[column]`,
  );
  const value = up === undefined ? gate : `glu(${gate}, ${up})`;
  const statement = `y${i}[row * ${N}u + column] = ${value}${shape.residual ? ` + residual[row * ${N}u + column]` : ''};`;
  const column = `let column = n${first === 0 ? '' : ` + ${first * 16}u`};`;
  return N % 16 === 0 ? `${column} ${statement}` : `${column} if (column < ${N}u) { ${statement} }`;
}
