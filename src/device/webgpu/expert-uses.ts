// Where a program uses experts that are streamed: its kernels get slots in place of stacks, and the numbers of slots in place of those
// of experts. Which experts a layer needs is known when its router has run, so the program stops there.

import { IngotError } from '../../base/errors.ts';
import { type Param, placesOf } from '../../kernel/signature.ts';
import type { BufferSlice, DeviceBuffer, DeviceProgram, Dispatch } from '../device.ts';
import type { ExpertPart } from '../expert-stream.ts';
import { StreamedStack, type WebGpuBuffer } from './buffer.ts';
import type { GpuExperts } from './experts.ts';

/** A dispatch that reads experts. */
export interface ExpertUse {
  readonly stream: GpuExperts;
  readonly layer: number;
  /** What it reads of each. */
  readonly parts: readonly ExpertPart[];
  /** Ids `[rows, topk]` of a run. */
  readonly ids: BufferSlice;
  readonly rows: Param;
  readonly topk: number;
  /** Undefined for a use of the same ids as the one before; else what this and those of the same ids read. */
  readonly allParts: readonly ExpertPart[] | undefined;
  /** Where the program writes down what the router chose, in words. */
  readonly logAt: number;
}

export interface StreamedProgram {
  readonly program: DeviceProgram;
  /** By the number of the dispatch. */
  readonly uses: ReadonlyMap<number, ExpertUse>;
  /** Where kernels read the numbers of slots. */
  readonly numbers: WebGpuBuffer;
  /** Where choices are written down that nobody waits for. */
  readonly log: WebGpuBuffer;
}

/** Whether a program reads experts that are streamed. */
export const isStreamed = ({ dispatches }: DeviceProgram): boolean =>
  dispatches.some(({ buffers }) =>
    buffers.some((b) => b.kind === 'buffer' && b.buffer instanceof StreamedStack),
  );

/** Throws unsupported for kernels that are not those of experts. */
export function streamedProgram(
  program: DeviceProgram,
  make: (byteLength: number) => WebGpuBuffer,
): StreamedProgram {
  const found = program.dispatches.map(useOf);
  const idBytes = Math.max(0, ...found.map((use) => use?.ids.byteLength ?? 0));
  const numbers = make(idBytes);
  const uses = new Map<number, ExpertUse>();
  let logWords = 0;
  let lead:
    | { readonly at: number; readonly use: Found; readonly parts: Set<ExpertPart>; readonly logAt: number }
    | undefined;
  found.forEach((use, at) => {
    if (use === undefined) return;
    if (lead === undefined || !sameIds(lead.use, use)) {
      lead = { at, use, parts: new Set(), logAt: logWords };
      logWords += use.ids.byteLength / 4;
    }
    const { logAt } = lead;
    for (const part of use.parts) lead.parts.add(part);
    uses.set(at, { ...use, allParts: undefined, logAt });
    uses.set(lead.at, { ...lead.use, allParts: [...lead.parts], logAt });
  });
  const log = make(4 * logWords);
  const dispatches = program.dispatches.map((dispatch, at): Dispatch => {
    const use = found[at];
    return use === undefined ? dispatch : { ...dispatch, buffers: withSlots(dispatch, use, numbers) };
  });
  return { program: { ...program, dispatches }, uses, numbers, log };
}

type Found = Omit<ExpertUse, 'allParts' | 'logAt'> & {
  readonly idsAt: number;
  /** Where the numbers of experts go that biases are found by; undefined without biases. */
  readonly expertsAt: number | undefined;
};

function useOf({ kernel, params, buffers, label }: Dispatch): Found | undefined {
  const stacks = buffers.flatMap((b) =>
    b.kind === 'buffer' && b.buffer instanceof StreamedStack ? [b.buffer] : [],
  );
  const [first] = stacks;
  if (first === undefined) return undefined;
  const { name } = kernel;
  if (name !== 'moe_glu' && name !== 'moe_down') {
    throw new IngotError(
      'unsupported',
      `${label}: ${name} cannot read ${first.label}, whose experts are streamed: load the model with all of them in memory`,
    );
  }
  const { params: p, buffers: b } = placesOf<'moe_glu' | 'moe_down'>(name, params, buffers.length);
  const [ids, rows, topk] = [buffers[b.ids], params[p.rows], params[p.topk]];
  const { stream, layer } = first;
  if (ids === undefined || rows === undefined || typeof topk !== 'number')
    throw new IngotError('internal', `internal: ${label} has no ids of experts`);
  const biases = 'bias' in b ? [b.bias] : [b.gateBias, b.upBias];
  const expertsAt = biases.some((at) => (buffers[at]?.byteLength ?? 0) > 0) ? b.experts : undefined;
  return { stream, layer, parts: stacks.map(({ part }) => part), ids, idsAt: b.ids, expertsAt, rows, topk };
}

/** Nothing writes ids between two uses of theirs in one layer: they are needed until the last. */
const sameIds = (a: Found, b: Found): boolean => {
  const place = ({ ids }: Found): unknown => (ids.kind === 'arena' ? 'arena' : ids.buffer);
  return (
    a.stream === b.stream &&
    a.layer === b.layer &&
    place(a) === place(b) &&
    a.ids.offset === b.ids.offset &&
    a.ids.byteLength === b.ids.byteLength
  );
};

const withSlots = (
  { buffers }: Dispatch,
  { ids, idsAt, expertsAt }: Found,
  numbers: DeviceBuffer,
): BufferSlice[] =>
  buffers.map((slice, i) => {
    if (i === idsAt) return { kind: 'buffer', buffer: numbers, offset: 0, byteLength: ids.byteLength };
    if (i === expertsAt) return ids;
    if (slice.kind !== 'buffer' || !(slice.buffer instanceof StreamedStack)) return slice;
    const { stream, layer, part } = slice.buffer;
    const slots = stream.slots(layer, part);
    return { kind: 'buffer', buffer: slots, offset: 0, byteLength: slots.byteLength };
  });
