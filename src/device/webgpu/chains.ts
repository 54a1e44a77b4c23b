// Finds the dispatches of a program that can run as a chain (kernel/wgsl/chain) when there is one row.

import type { Param } from '../../kernel/signature.ts';
import { kernelName, placesOf, rowsPlace } from '../../kernel/signature.ts';
import { chainAt } from '../../kernel/wgsl/chain/chain.ts';
import { mailStart } from '../../kernel/wgsl/chain/mail.ts';
import type { ChainDispatch } from '../../kernel/wgsl/chain/phase.ts';
import { KernelRequest } from '../../kernel/wgsl/contract.ts';
import type { BufferSlice, DeviceBuffer, DeviceProgram, Dispatch } from '../device.ts';
import type { BindContext, Planned } from './bind.ts';

export interface FoundChain {
  readonly planned: Planned;
  readonly count: number;
}

/** Most dispatches of a chain. */
const longest = 8;

/** Chains by the number of their first dispatch, and the words of mail they take together. */
export function findChains(
  { caps, choose }: BindContext,
  program: DeviceProgram,
  scalars: readonly string[],
  alone: (dispatch: number) => boolean,
): { readonly chains: ReadonlyMap<number, FoundChain>; readonly words: number } {
  const names = memoryNames(program);
  const { dispatches } = program;
  const chains = new Map<number, FoundChain>();
  let words = 0;
  for (let at = 0; at < dispatches.length; ) {
    const end = dispatches.findIndex((_, i) => i >= at && alone(i));
    const run = sameRows(dispatches.slice(at, Math.min(at + longest, end < 0 ? at + longest : end)));
    let first = 0;
    const given = run.flatMap((d): readonly ChainDispatch[] => {
      const name = kernelName(d.kernel.name);
      const rows = rowsPlace(d.kernel.name);
      if (name === undefined || rows === undefined) return [];
      const bytes = d.buffers.map((b) => b.byteLength);
      const params = d.params.with(rows, 1);
      const request = new KernelRequest({ name, params, bytes, caps, scalars, choose });
      const memory = d.buffers.map((b) => (b.byteLength === 0 ? undefined : names(b)));
      first += d.buffers.length;
      return [{ request, first: first - d.buffers.length, memory }];
    });
    const kernels = run.map((d) => d.kernel.name);
    const chain = chainAt(given, kernels, mailStart + words);
    if (chain === undefined) {
      at++;
      continue;
    }
    const own = run.slice(0, chain.count);
    const buffers = own.flatMap((d) => d.buffers);
    const later = dispatches.slice(at + chain.count);
    const apart = writesApart(chain.pass.bindings, buffers, names);
    const written = chain.pass.bindings.flatMap(({ buffer, access }) => {
      const slice = typeof buffer === 'number' && access === 'read_write' ? buffers[buffer] : undefined;
      return slice === undefined ? [] : [slotOf(names(slice))];
    });
    const dead = (memory: string): boolean =>
      written.includes(slotOf(memory)) || isDead(memory, later, names);
    if (apart && chain.unwritten.every(dead)) {
      const dispatch: Dispatch = {
        kernel: { kind: 'native', name: chain.pass.name },
        buffers,
        params: own.flatMap((d) => rowsOf(d) ?? []).slice(0, 1),
        label: `${chain.pass.name} of ${own.map((d) => d.label).join(', ')}`,
      };
      const variants = [
        { when: ([rows = 0]: readonly number[]) => rows === 1, passes: [chain.pass] },
        { passes: [] },
      ];
      chains.set(at, { planned: { dispatch, plan: { variants } }, count: chain.count });
      words += chain.words;
    }
    at += chain.count;
  }
  return { chains, words };
}

/** Those at the front whose kernels have rows, and the same number of them. */
function sameRows(dispatches: readonly Dispatch[]): readonly Dispatch[] {
  const [first] = dispatches.map((d) => JSON.stringify(rowsOf(d)));
  const end = dispatches.findIndex((d) => rowsOf(d) === undefined || JSON.stringify(rowsOf(d)) !== first);
  return end < 0 ? dispatches : dispatches.slice(0, end);
}

function rowsOf({ kernel, params }: Dispatch): Param | undefined {
  const at = kernel.kind === 'native' ? rowsPlace(kernel.name) : undefined;
  return at === undefined ? undefined : params[at];
}

type Names = (slice: BufferSlice) => string;

/** The memory of a slice as `SLOT@OFFSET`: one slot of the arena, or a buffer. */
function memoryNames({ arenaSlots = [] }: DeviceProgram): Names {
  const buffers = new Map<DeviceBuffer, string>();
  return (slice) => {
    if (slice.kind === 'arena') {
      const slot = arenaSlots.findIndex(
        (s) => slice.offset >= s.offset && slice.offset + slice.byteLength <= s.offset + s.byteLength,
      );
      return `arena${slot}@${slice.offset}`;
    }
    const known = buffers.get(slice.buffer) ?? `buffer${buffers.size}`;
    buffers.set(slice.buffer, known);
    return `${known}@${slice.offset}`;
  };
}

const slotOf = (name: string): string => name.slice(0, name.indexOf('@'));

/** Whether nothing that is written is bound a second time: a chain has no order between its reads and writes of memory. */
function writesApart(
  bindings: readonly { readonly buffer: unknown; readonly access: string }[],
  buffers: readonly BufferSlice[],
  names: Names,
): boolean {
  const seen = new Map<string, boolean>();
  return bindings.every(({ buffer, access }) => {
    const slice = typeof buffer === 'number' ? buffers[buffer] : undefined;
    if (slice === undefined) return true;
    const slot = slotOf(names(slice));
    const written = access === 'read_write';
    const before = seen.get(slot);
    seen.set(slot, written || before === true);
    return before === undefined || !(before || written);
  });
}

/** Whether memory of the arena is written before it is read again, if ever. */
function isDead(memory: string, later: readonly Dispatch[], names: Names): boolean {
  const slot = slotOf(memory);
  if (!slot.startsWith('arena')) return false;
  for (const { kernel, buffers, params } of later) {
    const uses = buffers.flatMap((b, i) => (b.byteLength > 0 && slotOf(names(b)) === slot ? [i] : []));
    if (uses.length === 0) continue;
    const name = kernelName(kernel.name);
    if (name === undefined) return false;
    const { bufferInfos } = placesOf(name, params, buffers.length);
    return uses.every((i) => bufferInfos[i]?.access === 'write');
  }
  return true;
}
