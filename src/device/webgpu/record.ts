// What a dispatch records into a compute pass. Resolving variants and grids costs more than recording, and between the steps
// of a generation little changes: a dispatch is resolved again only when a scalar that it reads has another value.

import { IngotError } from '../../base/errors.ts';
import type { Param } from '../../kernel/signature.ts';
import type { Groups } from '../../kernel/wgsl/contract.ts';
import type { BoundDispatch } from './bind.ts';

export interface Command {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly groups: Groups;
  /** Of the dispatch: see GpuPass. */
  readonly part?: number | undefined;
}

/** A dispatch and what it records now. */
export interface TimedDispatch {
  readonly label: string;
  readonly commands: readonly Command[];
  /** See GpuVariant. */
  readonly wholeRows?: boolean | undefined;
}

type Scalars = Readonly<Record<string, number>>;

export class DispatchRecorder {
  readonly label: string;
  readonly #dispatch: BoundDispatch;
  /** Scalars that the params read, and their values when `#resolved` was made. */
  readonly #names: readonly string[];
  readonly #values: (number | undefined)[];
  #resolved: Resolved | undefined;

  readonly chain: { readonly recorder: DispatchRecorder; readonly count: number } | undefined;

  constructor(dispatch: BoundDispatch) {
    this.label = dispatch.label;
    const { chain } = dispatch;
    this.chain = chain && { recorder: new DispatchRecorder(chain.dispatch), count: chain.count };
    this.#dispatch = dispatch;
    const read = dispatch.params.flatMap((p) => (typeof p === 'number' ? [] : [p.scalar]));
    this.#names = [...new Set(read)];
    this.#values = this.#names.map(() => undefined);
  }

  resolve(scalars: Scalars): Resolved {
    let same = this.#resolved !== undefined;
    for (let i = 0; i < this.#names.length; i++) {
      const value = scalars[this.#names[i] as string];
      same &&= value === this.#values[i];
      this.#values[i] = value;
    }
    if (!same || this.#resolved === undefined) this.#resolved = resolve(this.#dispatch, scalars);
    return this.#resolved;
  }
}

/** What each dispatch records; where a chain runs, its first dispatch has all of it and the others have nothing. */
export function allCommands(
  dispatches: readonly DispatchRecorder[],
  scalars: Scalars,
): readonly TimedDispatch[] {
  const all: TimedDispatch[] = [];
  while (all.length < dispatches.length) {
    const next = dispatches[all.length] as DispatchRecorder;
    const { recorder, count = 1 } = next.chain ?? {};
    const chained = recorder?.resolve(scalars).commands ?? [];
    if (recorder === undefined || chained.length === 0) {
      all.push({ label: next.label, ...next.resolve(scalars) });
      continue;
    }
    all.push({ label: recorder.label, commands: chained });
    for (let i = 1; i < count; i++) all.push({ label: dispatches[all.length]?.label ?? '', commands: [] });
  }
  return all;
}

type Resolved = Pick<TimedDispatch, 'commands' | 'wholeRows'>;

export const paramIn = (p: Param, scalars: Scalars): number =>
  typeof p === 'number' ? p : (scalars[p.scalar] ?? 0) * p.mul + p.add;

/** Passes without workgroups are left out. */
function resolve(d: BoundDispatch, scalars: Scalars): Resolved {
  const params = d.params.map((p) => paramIn(p, scalars));
  const variant = d.variants.find((v) => v.when?.(params) !== false);
  if (variant === undefined) {
    throw new IngotError('internal', `internal: ${d.label}: no variant takes params ${params.join(', ')}`);
  }
  const commands = variant.steps.flatMap(({ pipeline, group, groups: of, part }) => {
    const groups = typeof of === 'function' ? of(params) : of;
    return groups.every((n) => n > 0) ? [{ pipeline, group, groups, part }] : [];
  });
  return { commands, wholeRows: variant.wholeRows };
}

export function recordCommand(pass: GPUComputePassEncoder, { pipeline, group, groups }: Command): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
}
