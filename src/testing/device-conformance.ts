// The suite every device passes: each op's cases against its plain-TypeScript reference, and what devices promise about
// buffers. Independent of a test framework: a list of named checks.

import { NDArray } from '../array/array.ts';
import { evaluate, fromData } from '../array/creation.ts';
import { clearCache } from '../array/eager.ts';
import { opNode, type Value } from '../array/graph/node.ts';
import { tidy } from '../array/lifetime.ts';
import type { OpCase, OpDef, Tolerance } from '../array/op.ts';
import { ops } from '../array/ops/list.ts';
import { numel, reader, typedView } from '../array/ops/operands.ts';
import type { Tensor } from '../array/types.ts';
import { State, Weight } from '../array/weight.ts';
import { bytesPerElement, epsilon, type TypedArray } from '../base/dtype.ts';
import { invariant } from '../base/errors.ts';
import type { BufferRange, Device, DeviceBuffer, Transfers } from '../device/device.ts';
import { expectAllClose } from './allclose.ts';
import { caseTensor } from './case-data.ts';

export interface ConformanceCheck {
  /** `op name: case name`, or what is promised. */
  readonly name: string;
  /** Rejects with a report when the device is wrong. */
  run(device: Device): Promise<void>;
}

/** All checks. A device skips one only by name and with a reason. */
export const conformanceChecks = (): readonly ConformanceCheck[] => [
  ...bufferChecks,
  ...ops.flatMap((op) =>
    op.cases.map((c, i) => ({
      name: `${op.name}: ${c.name}`,
      run: (device: Device) => runCase(device, op, c, i + 1),
    })),
  ),
];

const bufferChecks: readonly ConformanceCheck[] = [
  {
    name: 'buffers start with zeros and keep what is written',
    run: async (device) => {
      const buffer = device.allocate(100, 'conformance');
      device.write(buffer, 10, new Uint8Array([1, 2, 3]));
      const bytes = await device.read(buffer, 8, 6);
      buffer.dispose();
      expectAllClose(bytes, [0, 0, 1, 2, 3, 0], { absolute: 0, relative: 0 }, 'bytes read');
    },
  },
  {
    name: 'statistics follow allocation, and dispose is idempotent',
    run: async (device) => {
      const before = device.statistics();
      const buffer = device.allocate(4096, 'conformance');
      const during = device.statistics();
      buffer.dispose();
      buffer.dispose();
      const after = device.statistics();
      invariant(during.liveBuffers === before.liveBuffers + 1, 'liveBuffers counts an allocation');
      invariant(during.liveBytes >= before.liveBytes + 4096, 'liveBytes counts an allocation');
      invariant(during.peakBytes >= during.liveBytes, 'peakBytes is at least liveBytes');
      invariant(after.liveBuffers === before.liveBuffers, 'dispose gives the buffer back once');
    },
  },
  {
    name: 'reading outside a buffer is an error',
    run: async (device) => {
      const buffer = device.allocate(16, 'conformance');
      const outcome = await Promise.resolve()
        .then(() => device.read(buffer, 8, 16))
        .then(
          () => 'resolved',
          () => 'rejected',
        );
      buffer.dispose();
      invariant(outcome === 'rejected', 'a read past the end rejects');
    },
  },
  {
    name: 'runs queue up with their transfers: writes, copies, then reads',
    run: async (device) => {
      const [a, b] = [device.allocate(64, 'conformance'), device.allocate(64, 'conformance')];
      const program = device.compile({ dispatches: [], arenaBytes: 64, scalars: [] });
      const data = new Uint8Array(3);
      const runs = Array.from({ length: 20 }, (_, i) => {
        data.set([i, i + 1, i + 2]);
        return program.run(
          {},
          {
            writes: [{ to: range(a, 5, 3), data }],
            copies: [
              { from: range(b, 0, 3), to: range(b, 8, 3) },
              { from: range(a, 5, 3), to: range(b, 0, 3) },
            ],
            reads: [range(b, 0, 3), range(b, 0, 0), range(b, 8, 3)],
          },
        );
      });
      data.fill(255);
      const results = await Promise.all(runs);
      program.dispose();
      a.dispose();
      b.dispose();
      results.forEach((reads, i) => {
        const before = i === 0 ? [0, 0, 0] : [i - 1, i, i + 1];
        const want = [[i, i + 1, i + 2], [], before];
        invariant(reads.length === 3, `run ${i} gives three reads`);
        const exact = { absolute: 0, relative: 0 };
        reads.forEach((bytes, j) => {
          expectAllClose(bytes, want[j] ?? [], exact, `run ${i}, read ${j}`);
        });
      });
    },
  },
  {
    name: 'a transfer outside its buffer is an error, and nothing of it happens',
    run: async (device) => {
      const buffer = device.allocate(16, 'conformance');
      const program = device.compile({ dispatches: [], arenaBytes: 64, scalars: [] });
      const write = { to: range(buffer, 0, 4), data: new Uint8Array(4).fill(1) };
      const wrong: readonly Transfers[] = [
        { writes: [write, { to: range(buffer, 14, 4), data: new Uint8Array(4) }] },
        { writes: [write, { to: range(buffer, 0, 4), data: new Uint8Array(3) }] },
        { writes: [write], copies: [{ from: range(buffer, 14, 4), to: range(buffer, 0, 4) }] },
        { writes: [write], copies: [{ from: range(buffer, 0, 4), to: range(buffer, -1, 4) }] },
        { writes: [write], copies: [{ from: range(buffer, 0, 4), to: range(buffer, 4, 8) }] },
        { writes: [write], reads: [range(buffer, 16, 1)] },
      ];
      const outcomes = await Promise.allSettled(wrong.map((transfers) => program.run({}, transfers)));
      const bytes = await device.read(buffer, 0, 16);
      program.dispose();
      buffer.dispose();
      outcomes.forEach((o, i) => {
        invariant(o.status === 'rejected', `transfers ${i} are refused`);
      });
      expectAllClose(
        bytes,
        new Uint8Array(16),
        { absolute: 0, relative: 0 },
        'bytes after refused transfers',
      );
    },
  },
];

const range = (buffer: DeviceBuffer, offset: number, byteLength: number): BufferRange => ({
  kind: 'buffer',
  buffer,
  offset,
  byteLength,
});

/** Runs an op on a device and compares with its reference. The device's live buffers return to where they were. */
export async function runCase(device: Device, op: OpDef, c: OpCase<object>, seed: number): Promise<void> {
  const before = device.statistics().liveBuffers;
  const tensors = c.inputs.map((spec, i) => (spec === null ? null : caseTensor(spec, seed * 31 + i)));
  const want = referenceResult(op, c.attrs, tensors);
  const got = await deviceResult(device, op, c, tensors);
  const tolerance = toleranceOf(op, c.attrs, tensors, want);
  want.forEach((t, i) => {
    const values = Float64Array.from(got[i] as TypedArray);
    expectAllClose(values, numbers(t), tolerance, `${op.name} (${c.name}) output ${i} on ${device.name}`);
  });
  clearCache(device);
  const after = device.statistics().liveBuffers;
  invariant(after === before, `${op.name} (${c.name}): ${after - before} buffers are still alive`);
}

/** Default tolerance: a few roundings of the output type. */
function toleranceOf(
  op: OpDef,
  attrs: object,
  inputs: readonly (Tensor | null)[],
  want: readonly Tensor[],
): Tolerance {
  if (op.tolerance !== undefined) return op.tolerance(inputs, want, attrs);
  const relative = 4 * Math.max(...want.map((t) => epsilon(t.dtype)));
  return { absolute: relative, relative };
}

const numbers = (t: Tensor): Float64Array => {
  const read = reader(t);
  return Float64Array.from({ length: t.data.length }, (_, i) => read(i));
};

/** Outputs of the reference. In-place outputs start as a copy of the state. */
export function referenceResult(
  op: OpDef,
  attrs: object,
  inputs: readonly (Tensor | null)[],
): readonly Tensor[] {
  const outputs = op.infer(inputs, attrs).map((type, i): Tensor => {
    const shape = type.shape as readonly number[];
    const data = typedView(type.dtype, new Uint8Array(numel(shape) * bytesPerElement(type.dtype)));
    const state = inputs[op.inPlace?.[i] ?? -1];
    if (state != null) data.set(state.data);
    return { shape, dtype: type.dtype, data };
  });
  op.reference(inputs, outputs, attrs);
  return outputs;
}

async function deviceResult(
  device: Device,
  op: OpDef,
  c: OpCase<object>,
  tensors: readonly (Tensor | null)[],
): Promise<readonly TypedArray[]> {
  const owned: { dispose(): void }[] = [];
  const operands = tensors.map((t, i): Value | null => {
    if (t === null) return null;
    const operand = upload(device, t, c.inputs[i]?.state === true);
    owned.push(operand);
    return operand.value;
  });
  const results = tidy(() => {
    const node = opNode(op, operands, c.attrs);
    return node.outputs.map((_, index) => new NDArray({ node, index }));
  });
  try {
    await evaluate(...results);
    return await Promise.all(results.map((r) => r.data()));
  } finally {
    for (const r of [...results, ...owned]) r.dispose();
  }
}

function upload(device: Device, t: Tensor, state: boolean): NDArray | Weight | State {
  if (t.layout !== undefined) {
    return Weight.fromPacked(device, t.data as Uint8Array, t.layout, t.shape as readonly [number, number]);
  }
  if (!state) return fromData(t.data, t.shape, { device, dtype: t.dtype });
  const made = new State({ device, shape: t.shape, dtype: t.dtype, label: 'case' });
  made.write(t.data);
  return made;
}
