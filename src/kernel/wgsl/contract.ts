// Kernels as WGSL text: what a kernel is told about a dispatch, and the passes it answers with. Text in, text out: a
// device compiles and binds them. The kernels, their buffers and params are those of signatures.ts.

import { invariant } from '../../base/errors.ts';
import {
  type BufferPlace,
  type BufferPlaces,
  type KernelName,
  nameOf,
  type Param,
  type ParamPlace,
  type ParamPlaces,
  placesOf,
} from '../signature.ts';
import type { kernelCodes } from '../signatures.ts';

/** What an adapter offers and allows. Kernels pick their variants by it. */
export interface GpuCapabilities {
  /** The `shader-f16` feature. */
  readonly f16: boolean;
  /** Smallest and largest subgroup, or undefined without the `subgroups` feature. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /** `dot4I8Packed` and friends. */
  readonly dot4: boolean;
  /** Shapes of `chromium-experimental-subgroup-matrix`; empty without it. */
  readonly subgroupMatrices: readonly SubgroupMatrixShape[];
  readonly maxWorkgroupBytes: number;
  readonly maxInvocations: number;
  readonly maxStorageBuffers: number;
  /** Bytes of one binding at most. */
  readonly maxBindingBytes: number;
  /** Window offsets of bindings are multiples of this. */
  readonly offsetAlignment: number;
  /** Lower-case vendor of the adapter, such as `nvidia`; for choices that were measured, never for correctness. */
  readonly vendor: string;
}

export interface SubgroupMatrixShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly component: 'f32' | 'f16' | 'i32' | 'u32' | 'i8' | 'u8';
  readonly result: 'f32' | 'f16' | 'i32' | 'u32' | 'i8' | 'u8';
}

export type GpuEnable = 'f16' | 'subgroups' | 'chromium_experimental_subgroup_matrix';

/** One storage binding of a pass. */
export interface GpuBinding {
  /** Number of the dispatch's buffer, of a scratch buffer, or the words that report failures. */
  readonly buffer: number | { readonly scratch: number } | 'status';
  /** Name of the variable in the code. */
  readonly name: string;
  /** Its WGSL type, for example `array<vec4<f32>>`. */
  readonly type: string;
  readonly access: 'read' | 'read_write';
  /** A part of the buffer: offset a multiple of `offsetAlignment`. Default: all of it. */
  readonly window?: { readonly offset: number; readonly byteLength: number };
}

/** A buffer that the code only reads. */
export const read = (buffer: GpuBinding['buffer'], name: string, type: string): GpuBinding => ({
  buffer,
  name,
  type,
  access: 'read',
});

export type Groups = readonly [x: number, y: number, z: number];

/** One compute dispatch. */
export interface GpuPass {
  /** For messages, profiles and snapshots, for example `linear q4 row`. */
  readonly name: string;
  readonly enables?: readonly GpuEnable[];
  readonly bindings: readonly GpuBinding[];
  /** Module-scope WGSL after the bindings, with `@compute @workgroup_size(…) fn main(…)`. */
  readonly code: string;
  /** Workgroups, constant or from the params of the run; a zero skips the pass. At most 65,535 per axis. */
  readonly groups: Groups | ((params: readonly number[]) => Groups);
  /** Passes of one part share scratch memory that the next part writes anew: where a dispatch runs again for further experts, each part does before the next. */
  readonly part?: number;
}

/** A way to run a dispatch; the first whose `when` holds for the params of the run is taken. */
export interface GpuVariant {
  /** Default: always. */
  readonly when?: (params: readonly number[]) => boolean;
  readonly passes: readonly GpuPass[];
  /** The experts of a row have to be there together: their products are one sum. */
  readonly wholeRows?: boolean;
}

export interface GpuKernelPlan {
  readonly variants: readonly GpuVariant[];
  /** Bytes of scratch buffers; their contents do not outlive the dispatch. */
  readonly scratch?: readonly number[];
}

export interface GpuKernel<K extends KernelName = KernelName> {
  /** The name lowerings emit. */
  readonly name: K;
  plan(request: KernelRequest<K>): GpuKernelPlan;
}

/** Most plan scalars a program can have: the uniform block holds them in 256 bytes. */
export const maxScalars = 64;

/**
 * A dispatch to be planned: params, sizes of buffers, capabilities; and params as WGSL expressions. Params and buffers are asked
 * for by the places of their names, `request.int(request.p.rows)`.
 */
export class KernelRequest<K extends KernelName = KernelName> {
  readonly name: K;
  readonly p: ParamPlaces<K>;
  readonly b: BufferPlaces<K>;
  readonly params: readonly Param[];
  /** Bytes of each buffer; 0: absent. */
  readonly bytes: readonly number[];
  readonly caps: GpuCapabilities;
  readonly #scalars: readonly string[];
  readonly #choose: (key: string, candidates: readonly string[]) => string;

  constructor(parts: {
    readonly name: K;
    readonly params: readonly Param[];
    readonly bytes: readonly number[];
    readonly caps: GpuCapabilities;
    /** Names of the program's scalars, in the order of the uniform block. */
    readonly scalars: readonly string[];
    /** The tuned choice among candidates for a shape class; the first by default. */
    readonly choose?: (key: string, candidates: readonly string[]) => string;
  }) {
    this.name = parts.name;
    this.params = parts.params;
    const places = placesOf(parts.name, parts.params, parts.bytes.length);
    this.p = places.params;
    this.b = places.buffers;
    this.bytes = parts.bytes;
    this.caps = parts.caps;
    this.#scalars = parts.scalars;
    this.#choose = parts.choose ?? ((_, candidates) => candidates[0] ?? '');
  }

  /** The same as a dispatch of the kernel that it is of. Throws internal when it is of another. */
  as<N extends KernelName>(name: N): KernelRequest<N> {
    invariant((this.name as KernelName) === name, `a dispatch of ${this.name} is taken for one of ${name}`);
    return this as unknown as KernelRequest<N>;
  }

  has(buffer: BufferPlace): boolean {
    return this.bytesOf(buffer) > 0;
  }

  /** Bytes of a buffer; 0: absent. */
  bytesOf(buffer: BufferPlace): number {
    return this.bytes[buffer] ?? 0;
  }

  param(at: ParamPlace): Param {
    const p = this.params[at];
    invariant(p !== undefined, `${this.name}: param ${at} is missing`);
    return p;
  }

  /** A param that the plan must know when it is compiled. */
  constant(at: ParamPlace): number {
    const p = this.param(at);
    invariant(typeof p === 'number', `${this.name}: param ${at} must be constant`);
    return p;
  }

  isConstant(at: ParamPlace): boolean {
    return typeof this.param(at) === 'number';
  }

  /** A constant param that stands for a name. */
  named<C extends keyof typeof kernelCodes>(list: C, at: ParamPlace): (typeof kernelCodes)[C][number] {
    return nameOf(list, this.param(at));
  }

  /** Reads a param from those of a run. */
  inRun(at: ParamPlace): (params: readonly number[]) => number {
    return (params) => params[at] ?? 0;
  }

  /** Workgroups from params of a run. */
  sized(at: readonly ParamPlace[], groups: (...values: readonly number[]) => Groups) {
    return (params: readonly number[]): Groups => groups(...at.map((place) => params[place] ?? 0));
  }

  /** A param as an i32 expression. */
  int(at: ParamPlace): string {
    return this.intOf(this.param(at));
  }

  /** The same for what is computed from params. */
  intOf(p: Param): string {
    if (typeof p === 'number') return `${p}i`;
    const value = `bitcast<i32>(${this.#word(p.scalar)})`;
    const scaled = p.mul === 1 ? value : `${value} * ${p.mul}i`;
    return p.add === 0 ? `(${scaled})` : `(${scaled} + ${p.add}i)`;
  }

  /** A param as a u32 expression, for plan scalars of type u32. */
  uint(at: ParamPlace): string {
    const p = this.param(at);
    if (typeof p === 'number') return `${p >>> 0}u`;
    invariant(p.mul === 1 && p.add === 0, `${this.name}: param ${at} scales a u32`);
    return this.#word(p.scalar);
  }

  /** A param as an f32 expression, for plan scalars of type f32. */
  float(at: ParamPlace): string {
    const p = this.param(at);
    if (typeof p === 'number') return floatLiteral(p);
    const value = `bitcast<f32>(${this.#word(p.scalar)})`;
    return p.mul === 1 && p.add === 0
      ? value
      : `(${value} * ${floatLiteral(p.mul)} + ${floatLiteral(p.add)})`;
  }

  /** The candidate measured fastest on this adapter for `key`, which names the kernel and its shape class; else the first. */
  choose(key: string, candidates: readonly string[]): string {
    return this.#choose(key, candidates);
  }

  #word(scalar: string): string {
    const k = this.#scalars.indexOf(scalar);
    invariant(k >= 0 && k < maxScalars, `${this.name}: scalar ${scalar} has no place in the uniform block`);
    return `scalars[${k >> 2}][${k & 3}]`;
  }
}

/** A finite f32 as WGSL. */
export function floatLiteral(x: number): string {
  const rounded = Math.fround(x);
  invariant(Number.isFinite(rounded), `${x} has no WGSL literal`);
  const text = String(rounded);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** Workgroups of a one-dimensional grid, folded when it is longer than an axis; `groupIndex` in common.ts unfolds it. */
export function grid(n: number): Groups {
  if (n <= 65535) return [n, 1, 1];
  const x = 32768;
  return [x, Math.ceil(n / x), 1];
}

/** The whole WGSL module of a pass. Bindings are numbered in order, the uniform block comes last. */
export function wgslSource(pass: GpuPass): string {
  const enables = (pass.enables ?? []).map((e) => `enable ${e};\n`).join('');
  const bindings = pass.bindings
    .map((b, i) => `@group(0) @binding(${i}) var<storage, ${b.access}> ${b.name}: ${b.type};\n`)
    .join('');
  const block = `@group(0) @binding(${pass.bindings.length}) var<uniform> scalars: array<vec4<u32>, ${maxScalars / 4}>;\n`;
  return `${enables}${bindings}${block}${pass.code}`;
}
