// Loops that dispose nothing do not grow.

import { expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { setDefaultDevice } from './context.ts';
import { fromData } from './creation.ts';

const device = openJsDevice();
setDefaultDevice(device);
const one = Float32Array.of(1);

it('arrays that nobody holds any more are freed when many have piled up', async () => {
  const kept = fromData(one);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 40_000; i++) fromData(one);
    await kept.add(round).data();
    expect(device.statistics().liveBuffers).toBeLessThan(20_000);
  }
  expect((await kept.data())[0]).toBe(1);
});

it('an array that was computed does not hold those it was computed from', async () => {
  let x = fromData(one);
  for (let i = 0; i < 5; i++) {
    x = x.mul(0.5).add(1);
    const { node } = x.value;
    await x.data();
    expect(node.kind === 'op' && node.inputs.every((v) => v === null)).toBe(true);
  }
  expect((await x.data())[0]).toBe(2 - 2 ** -5);
});
