// WGSL of folds over the middle axis of [outer, D, inner]. The threads of a workgroup share lines, so that neighbours read
// neighbours. What a thread reads of a short line it keeps in registers for the passes that follow. A single pass over few long
// lines is shared by workgroups, and a second one joins their parts.

import type { DType } from '../../base/dtype.ts';
import type { Expr } from '../expr.ts';
import { type FoldProgram, resultKinds } from '../fold.ts';
import type { RegisterKind } from '../tile-opcodes.ts';
import { buildTileProgram } from '../tile-program.ts';
import { groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernelPlan, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { emitFunction, withFunctions } from './emit.ts';
import { elementArray, loadElement, loadQuad, packQuad, perWord, quadArray } from './storage.ts';

/** How an operand lies along the lines: whole, the same line for all, one element for all, or one for each line. */
export const placements = ['whole', 'line', 'single', 'each'] as const;
export type Placement = (typeof placements)[number];

/** What `values` of a dispatch are: outer, D and inner, then the placement of each operand by its number. */
const sizes = 3;

/** Elements or fours that a thread keeps at most. */
const mostCells = 8;

/** Workgroups that keep a large GPU busy. */
const enough = 1024;

export function planFold(program: FoldProgram, request: KernelRequest<'user'>): GpuKernelPlan {
  return new FoldKernel(program, request).plan();
}

interface Operand {
  readonly kind: RegisterKind;
  readonly dtype: DType;
  readonly placement: Placement;
  readonly quad: boolean;
}

class FoldKernel {
  readonly #program: FoldProgram;
  readonly #request: KernelRequest<'user'>;
  readonly #operands: readonly Operand[];
  readonly #outputs: readonly DType[];
  readonly #length: number;
  /** Lines are contiguous. */
  readonly #rows: boolean;
  /** Elements of a cell. */
  readonly #width: 1 | 4;
  /** Lines at capacity. */
  readonly #lines: number;
  readonly #threads: number;
  /** Threads of a line. */
  readonly #perLine: number;
  readonly #chunks: number;

  constructor(program: FoldProgram, request: KernelRequest<'user'>) {
    this.#program = program;
    this.#request = request;
    const { p } = request;
    this.#length = request.constant(p.values[1]?.value as never);
    const inner = request.param(p.values[2]?.value as never);
    this.#rows = inner === 1;
    this.#width = this.#rows && this.#length % 4 === 0 ? 4 : 1;
    this.#outputs = p.outputs.map(({ dtype }) => request.named('dtype', dtype));
    this.#operands = p.inputs.map(({ dtype }, i) => {
      const placement = placements[request.constant(p.values[sizes + i]?.value as never)] ?? 'whole';
      return {
        kind: program.operands[i] as RegisterKind,
        dtype: request.named('dtype', dtype),
        placement,
        quad: this.#width === 4 && (placement === 'whole' || placement === 'line'),
      };
    });
    const [first = 'f32'] = this.#outputs;
    const bytes = request.bytesOf(request.b.outputs[0]?.y as never);
    const written = (bytes * perWord(first)) / 4;
    this.#lines = program.write === undefined ? written : written / Math.max(1, this.#length);
    this.#threads = this.#workgroup();
    this.#perLine = this.#share();
    this.#chunks = this.#chunkCount();
  }

  /** Invocations of a workgroup: as many as the accumulators of all passes leave memory for. */
  #workgroup(): number {
    const words = this.#program.passes.reduce((n, p) => n + p.state.length, 0);
    const { maxWorkgroupBytes, maxInvocations } = this.#request.caps;
    let threads = Math.min(256, maxInvocations);
    while (threads > 32 && threads * words * 4 > maxWorkgroupBytes) threads /= 2;
    return threads;
  }

  /** Rows: about four cells a thread, more threads where lines are few. Columns: 32 neighbours read together. */
  #share(): number {
    const cells = Math.max(1, this.#length / this.#width);
    const power = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));
    const few = Math.max(1, (enough * this.#threads) / Math.max(1, this.#lines));
    if (this.#rows) return Math.min(this.#threads, power(cells), Math.max(power(cells / 4), power(few)));
    return Math.min(this.#threads / 32, power(Math.min(cells / 4, few)));
  }

  #chunkCount(): number {
    if (this.#program.write !== undefined || this.#program.passes.length > 1) return 1;
    const groups = Math.ceil((this.#lines * this.#perLine) / this.#threads);
    const shortest = this.#rows ? 16 * this.#perLine * this.#width : 32 * this.#perLine;
    return Math.max(
      1,
      Math.min(Math.floor(this.#length / shortest), Math.floor(enough / Math.max(1, groups))),
    );
  }

  plan(): GpuKernelPlan {
    if (this.#chunks === 1) return { variants: [{ passes: [this.#pass()] }] };
    const words = this.#program.passes[0]?.state.length ?? 1;
    return {
      variants: [{ passes: [this.#pass(), this.#join()] }],
      scratch: [4 * words * this.#chunks * this.#lines],
    };
  }

  /** Every pass over the operands, and the writes; or the accumulators of a chunk of each line. */
  #pass(): GpuPass {
    const [threads, perLine] = [this.#threads, this.#perLine];
    const chunked = this.#chunks > 1;
    const { inputs, outputs } = this.#request.b;
    const bindings: GpuBinding[] = this.#operands.map(({ dtype, quad }, i) => ({
      buffer: inputs[i]?.x as number,
      name: `x${i}`,
      type: quad ? quadArray(dtype) : elementArray(dtype),
      access: 'read',
    }));
    const parts: GpuBinding = {
      buffer: { scratch: 0 },
      name: 'parts',
      type: 'array<u32>',
      access: 'read_write',
    };
    const body = `${this.#functions()}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
${this.#start(this.#chunks, threads / perLine)}
${this.#load()}${this.#program.passes.map((_, k) => this.#runPass(k)).join('')}${chunked ? this.#storePart() : this.#write()}}
`;
    return {
      name: 'fold',
      bindings: [...bindings, ...(chunked ? [parts] : this.#resultBindings(outputs))],
      code: `${groupIndex}${withFunctions(body, 1, this.#chunks > 1 ? [] : this.#outputs)}`,
      groups: this.#groups((lines) => Math.ceil(lines / (threads / perLine)) * this.#chunks),
    };
  }

  #resultBindings(outputs: KernelRequest<'user'>['b']['outputs']): readonly GpuBinding[] {
    const whole = this.#program.write !== undefined;
    return this.#outputs.map((dtype, o) => ({
      buffer: outputs[o]?.y as number,
      name: `y${o}`,
      type: whole && this.#width === 4 ? quadArray(dtype) : elementArray(dtype),
      access: 'read_write',
    }));
  }

  /** Joins the chunks of each line. */
  #join(): GpuPass {
    const perLine = Math.min(32, 2 ** Math.ceil(Math.log2(this.#chunks)));
    const width = this.#threads / perLine;
    const pass = this.#program.passes[0];
    const words = (pass?.state ?? []).map((kind, c) => {
      const word = `parts[(${c * this.#chunks}u + d) * lines + line]`;
      return kind === 'bool' ? `${word} != 0u` : `bitcast<${kind}>(${word})`;
    });
    const body = `${this.#functions()}
@compute @workgroup_size(${this.#threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let lines = ${this.#lineCount()};
  let own = t / ${perLine}u;
  let part = t % ${perLine}u;
  let line = group_index(id, groups) * ${width}u + own;
  let live = line < lines;
  var state0 = start_0();
  if (live) {
    for (var d = part; d < ${this.#chunks}u; d += ${perLine}u) { state0 = joined_0(state0, State0(${words.join(', ')})); }
  }
${this.#tree(0, perLine)}${this.#finish(0)}${this.#write()}}
`;
    return {
      name: 'fold join',
      bindings: [
        { buffer: { scratch: 0 }, name: 'parts', type: 'array<u32>', access: 'read' },
        ...this.#resultBindings(this.#request.b.outputs),
      ],
      code: `${groupIndex}${withFunctions(body, 1, this.#outputs)}`,
      groups: this.#groups((lines) => Math.ceil(lines / width)),
    };
  }

  #lineCount(): string {
    const { p } = this.#request;
    const value = (i: number): string => `u32(${this.#request.int(p.values[i]?.value as never)})`;
    return `(${value(0)} * ${value(2)})`;
  }

  #groups(count: (lines: number) => number): GpuPass['groups'] {
    const { p } = this.#request;
    return this.#request.sized(
      [p.values[0]?.value as never, p.values[2]?.value as never],
      (outer = 0, inner = 0) => grid(count(outer * inner)),
    );
  }

  #start(chunks: number, width: number): string {
    const { p } = this.#request;
    const [own, part] = this.#rows
      ? [`t / ${this.#perLine}u`, `t % ${this.#perLine}u`]
      : [`t % ${width}u`, `t / ${width}u`];
    const cells = this.#length / this.#width;
    const chunk = Math.ceil(cells / chunks);
    return `  let lines = ${this.#lineCount()};
  let inner = u32(${this.#request.int(p.values[2]?.value as never)});
  let group = group_index(id, groups);
  let chunk = group % ${chunks}u;
  let own = ${own};
  let part = ${part};
  let line = (group / ${chunks}u) * ${width}u + own;
  let live = line < lines;
  let base = (line / inner) * ${this.#length}u * inner + line % inner;
  let first = min(chunk * ${chunk}u, ${cells}u);
  let last = min(first + ${chunk}u, ${cells}u);`;
  }

  /** Cells that are kept, when they are few; every pass reads them again otherwise. */
  #kept(): number | undefined {
    const cells = Math.ceil(this.#length / this.#width / this.#perLine);
    const reads = this.#program.passes.length + (this.#program.write === undefined ? 0 : 1);
    return this.#chunks === 1 && reads > 1 && cells <= mostCells ? cells : undefined;
  }

  #load(): string {
    const kept = this.#kept();
    if (kept === undefined) return '';
    const lines: string[] = [];
    for (let c = 0; c < kept; c++) {
      const names = this.#operands.flatMap(({ kind, placement, quad }, i) => {
        if (placement === 'single' || placement === 'each') return [];
        lines.push(`  var v${i}_${c}: ${quad ? `vec4<${kind}>` : kind};`);
        return [`v${i}_${c} = ${this.#read(i, 'd', 'place')};`];
      });
      lines.push(`  if (live && part + ${c * this.#perLine}u < last) {
    let d = part + ${c * this.#perLine}u;
    let place = base + d * inner;
    ${names.join(' ')}
  }`);
    }
    return `${lines.join('\n')}\n`;
  }

  /** Cell `d` of an operand of whole lines, an element otherwise. */
  #read(i: number, d: string, place: string): string {
    const { dtype, placement, quad } = this.#operands[i] as Operand;
    const name = `x${i}`;
    if (placement === 'single') return loadElement(dtype, name, '0u');
    if (placement === 'each') return loadElement(dtype, name, 'line');
    if (quad) return loadQuad(dtype, name, placement === 'line' ? d : `(line * ${this.#length / 4}u + ${d})`);
    return loadElement(dtype, name, placement === 'line' ? d : place);
  }

  /** `statement` for every element of the line that is the thread's: operands, and its place. */
  #each(statement: (operands: readonly string[], place: string, lane: number) => string, after = ''): string {
    const kept = this.#kept();
    const cell = (value: (i: number) => string): string =>
      Array.from({ length: this.#width }, (_, k) => {
        const values = this.#operands.map(({ quad }, i) => (quad ? `${value(i)}[${k}]` : value(i)));
        return statement(values, this.#width === 4 ? `i32(d * 4u + ${k}u)` : 'i32(d)', k);
      }).join('\n      ') + after;
    const spread = this.#operands.map(({ placement }) => placement === 'whole' || placement === 'line');
    const single = this.#operands
      .map((_, i) => (spread[i] ? '' : `let w${i} = ${this.#read(i, '', '')};`))
      .join(' ');
    if (kept !== undefined) {
      const cells = Array.from(
        { length: kept },
        (
          _,
          c,
        ) => `if (part + ${c * this.#perLine}u < last) { let d = part + ${c * this.#perLine}u; let place = base + d * inner;
      ${cell((i) => (spread[i] ? `v${i}_${c}` : `w${i}`))}
    }`,
      );
      return `  if (live) { ${single}\n    ${cells.join('\n    ')}\n  }\n`;
    }
    const loads = this.#operands.map((_, i) =>
      spread[i] ? `let v${i} = ${this.#read(i, 'd', 'place')};` : '',
    );
    return `  if (live) { ${single}
    for (var d = first + part; d < last; d += ${this.#perLine}u) { let place = base + d * inner; ${loads.join(' ')}
      ${cell((i) => (spread[i] ? `v${i}` : `w${i}`))}
    }
  }
`;
  }

  #runPass(k: number): string {
    const priors = this.#priors(k);
    const update = this.#each((values, place) => {
      const args = [...values, place, ...priors, ...this.#members(k, `state${k}`)];
      return `state${k} = updated_${k}(${args.join(', ')});`;
    });
    return `  var state${k} = start_${k}();
${update}${this.#tree(k, this.#perLine)}${this.#chunks === 1 ? this.#finish(k) : ''}`;
  }

  /** Joins the threads of each line: `done` has its accumulators. */
  #tree(k: number, perLine: number): string {
    const width = this.#threads / perLine;
    return `  let cell${k} = part * ${width}u + own;
  cells${k}[cell${k}] = state${k};
  for (var half = ${perLine >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (part < half) { cells${k}[cell${k}] = joined_${k}(cells${k}[cell${k}], cells${k}[cell${k} + half * ${width}u]); }
  }
  workgroupBarrier();
  let done${k} = cells${k}[own];
`;
  }

  #finish(k: number): string {
    const count = this.#program.passes[k]?.finish.length ?? 0;
    const call = `finished_${k}(${[...this.#members(k, `done${k}`), ...this.#priors(k)].join(', ')})`;
    const named = Array.from(
      { length: count },
      (_, r) => `let p${k}_${r} = f${k}${count === 1 ? '' : `.r${r}`};`,
    );
    return `  let f${k} = ${call};\n  ${named.join(' ')}\n`;
  }

  #storePart(): string {
    const stores = (this.#program.passes[0]?.state ?? []).map((kind, c) => {
      const value = `done0.s${c}`;
      const word = kind === 'bool' ? `select(0u, 1u, ${value})` : `bitcast<u32>(${value})`;
      return `parts[(${c * this.#chunks}u + chunk) * lines + line] = ${word};`;
    });
    return `  if (live && part == 0u) { ${stores.join(' ')} }\n`;
  }

  #write(): string {
    const { write, passes } = this.#program;
    if (write === undefined) {
      const last = passes.length - 1;
      const stores = this.#outputs.map((_, o) => `y${o}[line] = p${last}_${o};`);
      return `  if (live && part == 0u) { ${stores.join(' ')} }\n`;
    }
    const results = this.#priors(passes.length);
    const lanes = ['x', 'y', 'z', 'w'];
    const one = (values: readonly string[], place: string, lane: number): string => {
      const call = `written(${[...values, place, ...results].join(', ')})`;
      const held = `let w_${lane} = ${call};`;
      if (this.#width === 4) return held;
      const stores = this.#outputs.map(
        (_, o) => `y${o}[place] = w_${lane}${write.length === 1 ? '' : `.r${o}`};`,
      );
      return `${held} ${stores.join(' ')}`;
    };
    const after =
      this.#width === 1
        ? ''
        : this.#outputs
            .map((dtype, o) => {
              const parts = lanes.map((_, lane) => `w_${lane}${write.length === 1 ? '' : `.r${o}`}`);
              const kind = write[o]?.kind ?? 'f32';
              return `\n      y${o}[line * ${this.#length / 4}u + d] = ${packQuad(dtype, `vec4<${kind}>(${parts.join(', ')})`)};`;
            })
            .join('');
    return this.#each(one, after);
  }

  #members(k: number, state: string): readonly string[] {
    return (this.#program.passes[k]?.state ?? []).map((_, c) => `${state}.s${c}`);
  }

  /** Variables that hold the results of passes before k. */
  #priors(k: number): readonly string[] {
    return this.#program.passes.slice(0, k).flatMap((p, j) => p.finish.map((_, r) => `p${j}_${r}`));
  }

  /** Types and functions of every pass, and `written`. */
  #functions(): string {
    const { operands, passes, write } = this.#program;
    const emit = (name: string, inputs: readonly RegisterKind[], results: readonly Expr[]): string =>
      emitFunction(buildTileProgram(inputs, results), { name });
    const parts = passes.map(({ state, start, update, combine, finish }, k) => {
      const before = resultKinds(this.#program, k);
      const members = state.map((kind, c) => `s${c}: ${kind}`).join(', ');
      const asState = (call: string): string =>
        state.length === 1
          ? `return State${k}(${call});`
          : `let r = ${call}; return State${k}(${state.map((_, c) => `r.r${c}`).join(', ')});`;
      const inputs = [...operands, 'i32' as const, ...before, ...state];
      const params = inputs.map((kind, i) => `a${i}: ${kind}`).join(', ');
      const of = (name: string): string => state.map((_, c) => `${name}.s${c}`).join(', ');
      return `struct State${k} { ${members} }
var<workgroup> cells${k}: array<State${k}, ${this.#threads}>;
${emit(`start_values_${k}`, [], start)}${emit(`update_values_${k}`, inputs, update)}${emit(`join_values_${k}`, [...state, ...state], combine)}${emit(`finished_${k}`, [...state, ...before], finish)}
fn start_${k}() -> State${k} { ${asState(`start_values_${k}()`)} }
fn updated_${k}(${params}) -> State${k} { ${asState(`update_values_${k}(${inputs.map((_, i) => `a${i}`).join(', ')})`)} }
fn joined_${k}(a: State${k}, b: State${k}) -> State${k} { ${asState(`join_values_${k}(${of('a')}, ${of('b')})`)} }
`;
    });
    const last =
      write === undefined ? '' : emit('written', [...operands, 'i32', ...resultKinds(this.#program)], write);
    return `${parts.join('')}${last}`;
  }
}
