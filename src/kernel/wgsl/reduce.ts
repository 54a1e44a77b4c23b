// reduce: over the middle axis of [outer, D, inner]. A line is what becomes one element of the result. Threads of a
// workgroup share lines, so that neighbours read neighbours: along D when inner is 1, across lines otherwise. Where lines are
// few and long, workgroups share them too, and a second pass joins their parts. The time is that of reading x once.

import { bytesPerElement, type DType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { registerKind } from '../expr.ts';
import type { ReductionKind } from '../signature.ts';
import { groupIndex } from './common.ts';
import type { Groups } from './contract.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { withFunctions } from './emit.ts';
import { isMultiple } from './params.ts';
import { type ReduceCode, reduceFunctions } from './reduce-functions.ts';
import { elementArray, loadElement, loadQuad, packWord, perWord, quadArray } from './storage.ts';

const threads = 256;

/** Reductions that have a value without elements. */
const startsSomewhere: readonly ReductionKind[] = ['sum', 'prod', 'mean', 'any', 'all'];

/** How the threads of a pass share the work. */
interface Shares {
  /** Threads per line: a power of two. */
  readonly perLine: number;
  /** Workgroups per line. */
  readonly chunks: number;
}

export const reduceKernel: GpuKernel<'reduce'> = {
  name: 'reduce',
  plan(request) {
    const kind = request.named('reduction', request.p.kind);
    const dtype = request.named('dtype', request.p.dtype);
    const to = resultDtype(kind, dtype);
    const lines = request.bytesOf(request.b.y) / bytesPerElement(to);
    const length = lines === 0 ? 0 : request.bytesOf(request.b.x) / bytesPerElement(dtype) / lines;
    const rows = request.param(request.p.inner) === 1;
    if (length === 0 && lines > 0 && !startsSomewhere.includes(kind)) {
      throw new IngotError('invalid_argument', 'reduce: maximum or minimum of an empty axis');
    }
    const code = reduceFunctions(kind, registerKind(dtype));
    const shares = shareOut(request, { lines, length, rows, packed: perWord(to) > 1 });
    const pass = { request, dtype, to, code, rows, ...shares };
    if (shares.chunks === 1) return { variants: [{ passes: [firstPass(pass)] }] };
    return {
      variants: [{ passes: [firstPass(pass), joinPass(pass)] }],
      scratch: [4 * code.words * shares.chunks * lines],
    };
  },
};

interface PassParts extends Shares {
  readonly request: KernelRequest<'reduce'>;
  readonly dtype: DType;
  readonly to: DType;
  readonly code: ReduceCode;
  /** True when a line is contiguous. */
  readonly rows: boolean;
}

function resultDtype(kind: ReductionKind, dtype: DType): DType {
  if (kind === 'argmax' || kind === 'argmin') return 'i32';
  return kind === 'any' || kind === 'all' ? 'bool' : dtype;
}

/** Workgroups that keep a large GPU busy. */
const enough = 1024;

/** Elements from which the shares are worth a measurement. */
const large = 1 << 20;

function shareOut(
  request: KernelRequest<'reduce'>,
  { lines, length, rows, packed }: { lines: number; length: number; rows: boolean; packed: boolean },
): Shares {
  // A workgroup that writes words of several elements has all their lines; neighbours in a row of lines are read together.
  const most = packed ? threads / 4 : threads;
  const wanted = rows ? length / 16 : Math.min(8, length / 4, (enough * threads) / Math.max(lines, 1));
  const guess = Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(1, wanted))));
  const candidates = [guess, guess / 2, guess * 2, guess / 4].filter((n) => n >= 1 && n <= most);
  const key = `reduce ${rows ? 'rows' : 'columns'} ${lines}x${length}${packed ? ' packed' : ''}`;
  const perLine = lines * length < large ? guess : Number(request.choose(key, candidates.map(String)));
  const groups = Math.ceil((lines * perLine) / threads);
  const shortest = rows ? 4096 : 32 * perLine;
  const chunks = Math.min(Math.floor(length / shortest), Math.floor(enough / Math.max(groups, 1)));
  return { perLine, chunks: Math.max(1, chunks) };
}

/** Reads x; writes y, or the state of each chunk of each line. */
function firstPass(parts: PassParts): GpuPass {
  const { request, dtype, to, code, rows, perLine, chunks } = parts;
  const quads = rows && isMultiple(request.param(request.p.D), 4);
  const loop = quads ? quadLoop(dtype, perLine) : elementLoop(dtype, perLine);
  const empty = !request.has(request.b.x);
  const body = `${code.text}
${main(parts, {
  lines: `u32(${request.int(request.p.outer)}) * u32(${request.int(request.p.inner)})`,
  inner: `u32(${request.int(request.p.inner)})`,
  length: `u32(${request.int(request.p.D)})`,
  steps: empty ? '' : loop,
  multiple: quads ? 4 : 1,
  store: chunks > 1 ? storePart(code, chunks) : storeResult(to, threads / perLine),
})}`;
  const lineGroups = threads / perLine;
  return {
    name: `reduce ${code.kind}`,
    bindings: [
      ...(empty ? [] : [xBinding(request, quads ? quadArray(dtype) : elementArray(dtype))]),
      chunks > 1
        ? partsBinding('read_write')
        : { buffer: request.b.y, name: 'y', type: elementArray(to), access: 'read_write' },
    ],
    code: `${groupIndex}${withFunctions(body, 1)}`,
    groups: linesOf(request, (lines) => grid(Math.ceil(lines / lineGroups) * chunks)),
  };
}

/** Joins the chunks of each line. */
function joinPass(parts: PassParts): GpuPass {
  const { request, to, code, chunks } = parts;
  const perLine = Math.min(32, 2 ** Math.ceil(Math.log2(chunks)));
  const lineGroups = threads / perLine;
  const lines = `(u32(${request.int(request.p.outer)}) * u32(${request.int(request.p.inner)}))`;
  const steps = `for (var d = part; d < ${chunks}u; d += ${perLine}u) { state = joined(state, part_at(d, line, lines)); }`;
  const body = `${code.text}${code.partAt(chunks)}
${main(
  { ...parts, perLine, chunks: 1, rows: false },
  {
    lines,
    inner: lines,
    length: `u32(${request.int(request.p.D)})`,
    steps,
    multiple: 1,
    store: storeResult(to, lineGroups),
  },
)}`;
  return {
    name: `reduce ${code.kind} join`,
    bindings: [
      partsBinding('read'),
      { buffer: request.b.y, name: 'y', type: elementArray(to), access: 'read_write' },
    ],
    code: `${groupIndex}${withFunctions(body, 1)}`,
    groups: linesOf(request, (lines) => grid(Math.ceil(lines / lineGroups))),
  };
}

interface MainParts {
  readonly lines: string;
  readonly inner: string;
  readonly length: string;
  /** Statements that take elements from `first` to `last` of a line into `state`. */
  readonly steps: string;
  /** Chunks start at multiples of this many elements. */
  readonly multiple: number;
  readonly store: string;
}

function main({ perLine, chunks, rows }: PassParts, m: MainParts): string {
  const width = threads / perLine;
  const [own, part] = rows ? [`t / ${perLine}u`, `t % ${perLine}u`] : [`t % ${width}u`, `t / ${width}u`];
  const unit = chunks * m.multiple;
  return `var<workgroup> cells: array<State, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let lines = ${m.lines};
  let inner = ${m.inner};
  let length = ${m.length};
  let group = group_index(id, groups);
  let chunk = group % ${chunks}u;
  let first_line = (group / ${chunks}u) * ${width}u;
  let own = ${own};
  let part = ${part};
  let line = first_line + own;
  let chunk_length = ((length + ${unit - 1}u) / ${unit}u) * ${m.multiple}u;
  let first = min(chunk * chunk_length, length);
  let last = min(first + chunk_length, length);
  var state = start();
  if (line < lines) {
    let base = (line / inner) * length * inner + line % inner;
    ${m.steps}
  }
  let cell = part * ${width}u + own;
  cells[cell] = state;
  for (var half = ${perLine >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (part < half) { cells[cell] = joined(cells[cell], cells[cell + half * ${width}u]); }
  }
  workgroupBarrier();
  ${m.store}
}
`;
}

/** Four elements of a line per load, two loads at a time. */
function quadLoop(dtype: DType, perLine: number): string {
  const take = (v: string, d: string): string =>
    ['x', 'y', 'z', 'w']
      .map((c, k) => `state = joined(state, lifted(${v}.${c}, i32(${d} * 4u + ${k}u)));`)
      .join(' ');
  const at = (d: string): string => loadQuad(dtype, 'x', `base / 4u + ${d}`);
  return `var d = first / 4u + part;
    for (; d + ${perLine}u < last / 4u; d += ${2 * perLine}u) {
      let v0 = ${at('d')};
      let v1 = ${at(`d + ${perLine}u`)};
      ${take('v0', 'd')}
      ${take('v1', `(d + ${perLine}u)`)}
    }
    if (d < last / 4u) {
      let v0 = ${at('d')};
      ${take('v0', 'd')}
    }`;
}

/** One element per load, four loads at a time. */
function elementLoop(dtype: DType, perLine: number): string {
  const places = [0, 1, 2, 3].map((k) => (k === 0 ? 'd' : `(d + ${k * perLine}u)`));
  const loads = places.map(
    (d, k) => `let i${k} = base + ${d} * inner; let v${k} = ${loadElement(dtype, 'x', `i${k}`)};`,
  );
  const takes = places.map((d, k) => `state = joined(state, lifted(v${k}, i32(${d})));`);
  return `var d = first + part;
    for (; d + ${3 * perLine}u < last; d += ${4 * perLine}u) {
      ${loads.join('\n      ')}
      ${takes.join('\n      ')}
    }
    for (; d < last; d += ${perLine}u) {
      ${loads[0]}
      ${takes[0]}
    }`;
}

function storePart(code: ReduceCode, chunks: number): string {
  return `if (part == 0u && line < lines) {
    ${code.storePart('cells[own]', (c) => `parts[(${c * chunks}u + chunk) * lines + line]`).join('\n    ')}
  }`;
}

/** The first threads write the lines' results, a word each. */
function storeResult(to: DType, width: number): string {
  const per = perWord(to);
  const values = Array.from({ length: per }, (_, k) => `finished(cells[${per}u * t + ${k}u], f32(length))`);
  const word = packWord(to, values);
  if (per === 1) return `if (t < ${width}u && first_line + t < lines) { y[first_line + t] = ${word}; }`;
  return `let result_line = first_line + ${per}u * t;
  if (t < ${width / per}u && result_line < lines) {
    let w = result_line / ${per}u;
    y[w] = insertBits(y[w], ${word}, 0u, min(32u, (lines - result_line) * ${32 / per}u));
  }`;
}

/** Workgroups from the number of lines of a run. */
const linesOf = (request: KernelRequest<'reduce'>, groups: (lines: number) => Groups) =>
  request.sized([request.p.outer, request.p.inner], (outer = 0, inner = 0) => groups(outer * inner));

const xBinding = (request: KernelRequest<'reduce'>, type: string): GpuBinding => ({
  buffer: request.b.x,
  name: 'x',
  type,
  access: 'read',
});

const partsBinding = (access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: 0 },
  name: 'parts',
  type: 'array<u32>',
  access,
});
