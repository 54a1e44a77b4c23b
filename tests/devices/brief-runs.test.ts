// Runs of few bytes are made on the event loop: they keep their order, leave it turns, and leave its arithmetic alone.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { evaluate, fromData } from '../../src/array/creation.ts';
import { clearCache } from '../../src/array/eager.ts';
import { type CpuDevice, openCpuDevice } from '../../src/device/cpu/device.ts';
import type { DeviceBuffer } from '../../src/device/device.ts';

let device: CpuDevice;
beforeAll(() => {
  device = openCpuDevice();
  setDefaultDevice(device);
});
afterAll(() => {
  clearCache(device);
  device.dispose();
});

/** A program that copies `count` f32 of one buffer to the start of another. */
const copying = (from: DeviceBuffer, at: number, to: DeviceBuffer, count: number) =>
  device.compile({
    dispatches: [
      {
        kernel: { kind: 'native', name: 'copy' },
        label: 'copy',
        buffers: [
          { kind: 'buffer', buffer: from, offset: 4 * at, byteLength: 4 * count },
          { kind: 'buffer', buffer: to, offset: 0, byteLength: 4 * count },
        ],
        params: [1, 4, count, 1, 1, 0, 0],
      },
    ],
    arenaBytes: 64,
    scalars: [],
  });

it('come after the runs that were begun before them', async () => {
  const n = 1 << 22;
  const [a, b] = [device.allocate(4 * n, 'a'), device.allocate(4 * n, 'b')];
  const c = device.allocate(16, 'c');
  device.write(a, 0, new Float32Array(n).fill(3));
  device.write(b, 0, new Float32Array(n));
  const programs = [copying(a, 0, b, n), copying(b, n - 4, c, 4)];
  await Promise.all(programs.map((p) => p.run({})));
  const bytes = await device.read(c, 0, 16);
  expect([...new Float32Array(bytes.buffer, bytes.byteOffset, 4)]).toEqual([3, 3, 3, 3]);
  for (const x of [...programs, a, b, c]) x.dispose();
});

it('let timers and I/O have their turns', async () => {
  let turns = 0;
  const count = (): void => {
    turns++;
    if (turns < 3) setImmediate(count);
  };
  setImmediate(count);
  const x = fromData(new Float32Array(16).fill(1));
  while (turns < 3) {
    const y = x.add(x);
    await evaluate(y);
    y.dispose();
  }
  expect(turns).toBe(3);
});

it('leave small numbers of JavaScript as they are', async () => {
  const x = fromData(new Float32Array([1e-39, 1]));
  for (let i = 0; i < 50; i++) await x.mul(1 + i).data();
  const smallest = [Number.MIN_VALUE, 2 ** -1060].map((v) => v * (x.shape[0] as number));
  expect(smallest).toEqual([1e-323, 2 ** -1059]);
});
