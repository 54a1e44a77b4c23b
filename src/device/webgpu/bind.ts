// From a device program to steps: every dispatch planned by its kernel, its passes compiled in the background, and their
// bindings made once.

import { IngotError } from '../../base/errors.ts';
import type { Param } from '../../kernel/signature.ts';
import {
  type GpuBinding,
  type GpuCapabilities,
  type GpuKernelPlan,
  type GpuPass,
  type Groups,
  KernelRequest,
} from '../../kernel/wgsl/contract.ts';
import { findGpuKernel } from '../../kernel/wgsl/index.ts';
import { statusBytes } from '../../kernel/wgsl/status.ts';
import type { BufferSlice, DeviceProgram, Dispatch } from '../device.ts';
import { type BufferOwner, checkedRange, roundUp } from './buffer.ts';
import { type FoundChain, findChains } from './chains.ts';
import type { ByteMover, Place } from './moves.ts';
import type { PipelineCache } from './pipelines.ts';

/** A compute dispatch: a pass of a kernel, or a move of bytes. */
export interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly groups: Groups | ((params: readonly number[]) => Groups);
  readonly part?: number | undefined;
}

/** One dispatch of the program: its ways to run. */
export interface BoundDispatch {
  readonly label: string;
  readonly params: readonly Param[];
  readonly variants: readonly {
    readonly when: ((params: readonly number[]) => boolean) | undefined;
    readonly steps: readonly Step[];
    readonly wholeRows?: boolean | undefined;
  }[];
  /** What may run in place of this dispatch and those behind it, `count` together: when it has steps for the params. */
  readonly chain?: { readonly dispatch: BoundDispatch; readonly count: number } | undefined;
}

/** What binding needs of the device. */
export interface BindContext {
  readonly device: GPUDevice;
  readonly owner: BufferOwner;
  readonly caps: GpuCapabilities;
  readonly pipelines: PipelineCache;
  readonly mover: ByteMover;
  readonly choose: (key: string, candidates: readonly string[]) => string;
  /** Memory of the program. */
  readonly create: (bytes: number, label: string) => GPUBuffer;
  /** Takes over a small buffer that lives as long as the program. */
  readonly keep: (buffer: GPUBuffer) => void;
}

/** A program that is being compiled: `dispatches` resolves when every pipeline is there. */
export interface BoundProgram {
  readonly dispatches: Promise<readonly BoundDispatch[]>;
  readonly scalars: GPUBuffer;
  readonly status: GPUBuffer | undefined;
  /** Dispatches that begin a chain. */
  readonly chains: number;
  /** Finds an arena slice. */
  arena(offset: number, byteLength: number): Place;
}

/** Bytes of the uniform block of plan scalars. */
const scalarBytes = 256;

export interface Planned {
  readonly dispatch: Dispatch;
  readonly plan: GpuKernelPlan;
}

const noChains: ReadonlyMap<number, FoundChain> = new Map();

/**
 * Dispatches that are `apart` are in no chain. Throws unsupported for a kernel without WGSL, and what the kernels throw for params they
 * cannot serve.
 */
export function bindProgram(
  context: BindContext,
  program: DeviceProgram,
  apart: (dispatch: number) => boolean = () => false,
): BoundProgram {
  const scalars = program.scalars.map((s) => s.name);
  const planned = program.dispatches.map((dispatch) => planDispatch(context, dispatch, scalars));
  const uniform = context.create(scalarBytes, 'plan scalars');
  const slots = (program.arenaSlots ?? []).map((slot) => ({
    ...slot,
    gpu: context.create(roundUp(Math.max(slot.byteLength, 16), 16), 'arena'),
  }));
  const arena = (offset: number, byteLength: number): Place => {
    const slot = slots.find((s) => offset >= s.offset && offset + byteLength <= s.offset + s.byteLength);
    if (slot === undefined) {
      throw new IngotError(
        'invalid_argument',
        `arena bytes ${offset} to ${offset + byteLength} have no slot`,
      );
    }
    return { gpu: slot.gpu, offset: offset - slot.offset };
  };
  const { chains, words } =
    program.chains === false ? { chains: noChains, words: 0 } : findChains(context, program, scalars, apart);
  const passes = planned.flatMap(({ plan }) => plan.variants.flatMap((v) => v.passes));
  const reports = words > 0 || passes.some((p) => p.bindings.some((b) => b.buffer === 'status'));
  const status = reports ? context.create(statusBytes + 4 * words, 'status') : undefined;
  const binder = new Binder(context, { uniform, status, arena, scratch: makeScratch(context, planned) });
  return {
    dispatches: Promise.all(
      planned.map(async (p, i) => {
        const chain = chains.get(i);
        if (chain === undefined) return binder.bind(p);
        const [own, dispatch] = await Promise.all([binder.bind(p), binder.bind(chain.planned)]);
        return { ...own, chain: { dispatch, count: chain.count } };
      }),
    ),
    scalars: uniform,
    status,
    chains: chains.size,
    arena,
  };
}

/** The ways of one dispatch. */
export function planDispatch(
  context: Pick<BindContext, 'caps' | 'choose'>,
  dispatch: Dispatch,
  scalars: readonly string[],
): Planned {
  const { kernel, params, buffers, label } = dispatch;
  const found = kernel.kind === 'native' ? findGpuKernel(kernel.name) : undefined;
  if (found === undefined) {
    throw new IngotError('unsupported', `${label}: the WebGPU device has no kernel '${kernel.name}'`);
  }
  const bytes = buffers.map((b) => b.byteLength);
  const { caps, choose } = context;
  return {
    dispatch,
    plan: found.plan(new KernelRequest({ name: found.name, params, bytes, caps, scalars, choose })),
  };
}

/** Scratch buffers are shared by all dispatches of a program: they run one after the other. */
function makeScratch(context: BindContext, planned: readonly Planned[]): readonly GPUBuffer[] {
  const sizes: number[] = [];
  for (const { plan } of planned) {
    plan.scratch?.forEach((bytes, i) => {
      sizes[i] = Math.max(sizes[i] ?? 16, roundUp(bytes, 16));
    });
  }
  return sizes.map((bytes) => context.create(bytes, 'scratch'));
}

interface Memory {
  readonly uniform: GPUBuffer;
  readonly status: GPUBuffer | undefined;
  readonly scratch: readonly GPUBuffer[];
  readonly arena: (offset: number, byteLength: number) => Place;
}

class Binder {
  readonly #context: BindContext;
  readonly #memory: Memory;

  constructor(context: BindContext, memory: Memory) {
    this.#context = context;
    this.#memory = memory;
  }

  async bind({ dispatch, plan }: Planned): Promise<BoundDispatch> {
    const aligned = new AlignedPlaces(this.#context, dispatch, (slice) => this.#place(slice));
    return {
      label: dispatch.label,
      params: dispatch.params,
      variants: await Promise.all(
        plan.variants.map(async ({ when, passes: all, wholeRows }) => {
          const passes = all.filter((pass) => !writesNothing(dispatch, pass));
          const { before, after } = aligned.movesFor(passes);
          const bound = await Promise.all(passes.map((pass) => this.#bindPass(dispatch, pass, aligned)));
          return { when, steps: [...before, ...bound, ...after], wholeRows };
        }),
      ),
    };
  }

  async #bindPass(dispatch: Dispatch, pass: GpuPass, aligned: AlignedPlaces): Promise<Step> {
    const { layout, pipeline } = this.#context.pipelines.get(pass);
    const entries = pass.bindings.map((binding, i) => ({
      binding: i,
      resource: this.#resource(dispatch, binding, aligned),
    }));
    const uniform = { binding: entries.length, resource: { buffer: this.#memory.uniform } };
    const group = this.#context.device.createBindGroup({ layout, entries: [...entries, uniform] });
    return { pipeline: await pipeline, group, groups: pass.groups, part: pass.part };
  }

  #resource(dispatch: Dispatch, binding: GpuBinding, aligned: AlignedPlaces): GPUBufferBinding {
    const { buffer, window } = binding;
    if (typeof buffer !== 'number') {
      const own = buffer === 'status' ? this.#memory.status : this.#memory.scratch[buffer.scratch];
      if (own === undefined) throw new IngotError('internal', `internal: ${dispatch.label}: no such memory`);
      return { buffer: own };
    }
    const { place, byteLength } = aligned.get(buffer);
    const offset = place.offset + (window?.offset ?? 0);
    const size = roundUp(window?.byteLength ?? byteLength, 4);
    const { maxBindingBytes } = this.#context.caps;
    if (size > maxBindingBytes) {
      throw new IngotError(
        'unsupported',
        `${dispatch.label}: buffer ${buffer} has ${size} bytes, this GPU binds ${maxBindingBytes} at most`,
        { details: { size, maxBindingBytes } },
      );
    }
    return { buffer: place.gpu, offset, size };
  }

  #place(slice: BufferSlice): Place {
    if (slice.kind === 'arena') return this.#memory.arena(slice.offset, slice.byteLength);
    return { gpu: checkedRange(this.#context.owner, slice).gpu, offset: slice.offset };
  }
}

/** True for a pass into an empty array. */
const writesNothing = ({ buffers }: Dispatch, { bindings }: GpuPass): boolean =>
  bindings.some(
    ({ buffer, access }) =>
      access === 'read_write' && typeof buffer === 'number' && buffers[buffer]?.byteLength === 0,
  );

/**
 * Where the operands of a dispatch are bound. A slice that does not start at a multiple of the alignment (a view into the
 * middle of an array) is copied to memory of its own before the passes, and back when they write it.
 */
class AlignedPlaces {
  readonly #context: BindContext;
  readonly #dispatch: Dispatch;
  readonly #find: (slice: BufferSlice) => Place;
  readonly #known = new Map<number, { place: Place; from: Place; byteLength: number }>();

  constructor(context: BindContext, dispatch: Dispatch, find: (slice: BufferSlice) => Place) {
    this.#context = context;
    this.#dispatch = dispatch;
    this.#find = find;
  }

  get(index: number): { readonly place: Place; readonly from: Place; readonly byteLength: number } {
    const known = this.#known.get(index);
    if (known !== undefined) return known;
    const slice = this.#dispatch.buffers[index];
    if (slice === undefined || slice.byteLength === 0) {
      throw new IngotError(
        'internal',
        `internal: ${this.#dispatch.label} binds buffer ${index}, which is absent`,
      );
    }
    const from = this.#find(slice);
    const { byteLength } = slice;
    const place =
      from.offset % this.#context.caps.offsetAlignment === 0
        ? from
        : { gpu: this.#context.create(roundUp(byteLength, 16), 'aligned view'), offset: 0 };
    const made = { place, from, byteLength };
    this.#known.set(index, made);
    return made;
  }

  movesFor(passes: readonly GpuPass[]): {
    readonly before: readonly Step[];
    readonly after: readonly Step[];
  } {
    const used = new Map<number, boolean>();
    for (const { buffer, access } of passes.flatMap((p) => p.bindings)) {
      if (typeof buffer === 'number') used.set(buffer, used.get(buffer) === true || access === 'read_write');
    }
    const moved = [...used].map(([index, written]) => ({ ...this.get(index), written }));
    const apart = moved.filter(({ place, from }) => place !== from);
    const move = (from: Place, to: Place, length: number): Step =>
      this.#context.mover.prepare(from, to, length, this.#context.keep);
    return {
      before: apart.map(({ place, from, byteLength }) => move(from, place, byteLength)),
      after: apart
        .filter((a) => a.written)
        .map(({ place, from, byteLength }) => move(place, from, byteLength)),
    };
  }
}
