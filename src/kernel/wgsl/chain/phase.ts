// A phase of a chain: what one dispatch of few workgroups does with one row, as a part of a larger dispatch.

import type { ParamPlace } from '../../signature.ts';
import type { GpuBinding, GpuEnable, KernelRequest } from '../contract.ts';

/** A dispatch that may become part of a chain. Buffers of all its dispatches are numbered in a row, from `first` on. */
export interface ChainDispatch {
  /** For one row. */
  readonly request: KernelRequest;
  readonly first: number;
  /** What memory each buffer is, by a name that two buffers share when they are the same; undefined: absent. */
  readonly memory: readonly (string | undefined)[];
}

export interface Phase {
  readonly enables: readonly GpuEnable[];
  /** Beside the mail. */
  readonly bindings: readonly GpuBinding[];
  /** A module with `main`, as in a pass, and threads as the chain has. */
  readonly code: string;
  readonly groups: number;
}

/** The size of a chain's dispatch. */
export interface ChainSize {
  readonly threads: number;
  /** Workgroups that run at the same time. */
  readonly groups: number;
}

/** Numbers in the mail: the word of the first. */
export type MailAt = number;

/** Dispatches as a block, from the first of those given; undefined where they are not this block. */
export interface Block {
  /** Kernels that it takes, in order. */
  readonly kernels: readonly string[];
  readonly name: string;
  /** The param of the first dispatch that shape classes go by. */
  width(first: KernelRequest): ParamPlace;
  build(dispatches: readonly ChainDispatch[], size: ChainSize, mail: number): BuiltBlock | undefined;
}

export interface BuiltBlock {
  /** WGSL that phases share, under its own names. */
  readonly shared?: string;
  readonly phases: readonly Phase[];
  /** Words of mail. */
  readonly words: number;
  /** Memory that is not written although the dispatches would: nothing may read it later. */
  readonly unwritten: readonly string[];
}
