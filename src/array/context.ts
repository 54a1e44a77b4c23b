// Where arrays are made: the device of the trace in progress or the default one, and the present version of each State.

import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { type BufferNode, resolve, type Value } from './graph/node.ts';

/** A compile in progress. */
export interface TraceContext {
  readonly device: Device;
  /** Last version of each State updated so far, by its leaf. */
  readonly states: Map<BufferNode, Value>;
}

let tracing: TraceContext | null = null;
let fallback: Device | null = null;
const lazyStates = new WeakMap<BufferNode, Value>();

/** Runs `fn` with `context` as the trace in progress. */
export function withTrace<T>(context: TraceContext, fn: () => T): T {
  const before = tracing;
  tracing = context;
  try {
    return fn();
  } finally {
    tracing = before;
  }
}

/** Device on which new constants are placed: the trace's, else the one set, else the plain-TypeScript executor. */
export function currentDevice(): Device {
  if (tracing !== null) return tracing.device;
  fallback ??= openJsDevice();
  return fallback;
}

/** Device for arrays made outside of `compile`. */
export function setDefaultDevice(device: Device): void {
  fallback = device;
}

/** Present version of a State given its first leaf. Throws invalid_argument when a trace meets a pending lazy update. */
export function stateVersion(leaf: BufferNode): Value {
  const lazy = lazyStates.get(leaf);
  if (tracing === null) return lazy ?? { node: leaf, index: 0 };
  const traced = tracing.states.get(leaf);
  if (traced === undefined && lazy !== undefined && resolve(lazy).node.kind === 'op') {
    throw new IngotError(
      'invalid_argument',
      `state ${leaf.label} has an update that has not run; evaluate it before compiling with it`,
    );
  }
  return traced ?? (lazy === undefined ? { node: leaf, index: 0 } : resolve(lazy));
}

/** Makes `version` the present one of the State that `from` is a version of. */
export function setStateVersion(from: Value, version: Value): void {
  const leaf = stateLeaf(from);
  if (leaf === null) return;
  if (tracing === null) lazyStates.set(leaf, version);
  else tracing.states.set(leaf, version);
}

/** The buffer that a version of a State is a version of; null for other values. */
export function stateLeaf(v: Value): BufferNode | null {
  let at = resolve(v);
  while (at.node.kind === 'op') {
    const input = at.node.op.inPlace?.[at.index];
    const next = input === undefined ? null : at.node.inputs[input];
    if (next == null) return null;
    at = resolve(next);
  }
  return at.node.kind === 'buffer' && at.node.role === 'state' ? (at.node.origin ?? at.node) : null;
}
