// A device is asked which kernels it has: an op without one is its composite, with the same results; without a composite the
// error names op, operands and device.

import { afterAll, describe, expect, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { ops } from '../../src/array/ops/list.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { kernelSignatures } from '../../src/kernel/signatures.ts';
import { gpuKernels } from '../../src/kernel/wgsl/index.ts';
import { runCase } from '../../src/testing/device-conformance.ts';

/** The device without some kernels; `used` collects those of the programs it compiles. */
function lacking(device: Device, kernels: readonly string[], used: Set<string>): Device {
  const changed: Pick<Device, 'supports' | 'compile'> = {
    supports: (kernel, operands) => !kernels.includes(kernel) && device.supports(kernel, operands),
    compile: (program, options) => {
      for (const { kernel } of program.dispatches) used.add(kernel.name);
      return device.compile(program, options);
    },
  };
  return new Proxy(device, {
    get: (target, key) => {
      if (key === 'supports' || key === 'compile') return changed[key];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function open(make: () => Device | Promise<Device>): Promise<Device | string> {
  try {
    return await make();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const opNamed = (name: string) => {
  const op = ops.find((o) => o.name === name);
  if (op === undefined) throw new Error(`no op ${name}`);
  return op;
};

/** Ops whose composite needs none of these kernels. */
const replaced: readonly (readonly [op: string, kernel: string])[] = [
  ['softmax', 'softmax'],
  ['logSoftmax', 'softmax'],
  ['rmsNorm', 'rms_norm'],
  ['layerNorm', 'layer_norm'],
  ['moeRoute', 'moe_route'],
  ['ropeKv', 'rope_kv'],
];

describe.each([
  ['cpu', await open(() => openCpuDevice())],
  ['webgpu', await open(() => openNodeGpu({ software: true }))],
] as const)('device %s', (_, device) => {
  if (typeof device === 'string') {
    it.skip(`is not available: ${device}`, () => undefined);
    return;
  }
  afterAll(() => {
    setDefaultDevice(openJsDevice());
    device.dispose();
  });

  it.each(replaced)('%s without the kernel %s is its composite', async (name, kernel) => {
    const used = new Set<string>();
    const without = lacking(device, [kernel], used);
    setDefaultDevice(without);
    const op = opNamed(name);
    for (const [i, c] of op.cases.entries()) await runCase(without, op, c, i + 1);
    expect(used.size).toBeGreaterThan(0);
    expect([...used]).not.toContain(kernel);
  });

  it('an op of one kernel uses it where the device has it', async () => {
    const used = new Set<string>();
    const whole = lacking(device, [], used);
    setDefaultDevice(whole);
    const op = opNamed('moeRoute');
    await runCase(whole, op, op.cases[0]!, 1);
    expect([...used]).toContain('moe_route');
  });

  it.each([
    ['attention', 'attention'],
    ['linear', 'linear'],
    ['add', 'tile'],
  ])('%s without the kernel %s is an error that says so', async (name, kernel) => {
    const without = lacking(device, [kernel], new Set());
    setDefaultDevice(without);
    const op = opNamed(name);
    await expect(runCase(without, op, op.cases[0]!, 1)).rejects.toThrow(
      new RegExp(`${name} on .* has no kernel on device ${device.name}`),
    );
  });
});

describe('devices say what they have', () => {
  it('the addon all kernels of the signatures', async () => {
    const device = await open(() => openCpuDevice());
    if (typeof device === 'string') return;
    for (const kernel of Object.keys(kernelSignatures)) {
      const written = kernel !== 'user'; // text for GPUs
      expect([kernel, device.supports(kernel, [])]).toEqual([kernel, written]);
    }
    expect(device.supports('nothing', [])).toBe(false);
  });

  it('WebGPU those with WGSL, over layouts that WGSL reads', async () => {
    const device = await open(() => openNodeGpu({ software: true }));
    if (typeof device === 'string') return;
    for (const { name } of gpuKernels) expect([name, device.supports(name, [])]).toEqual([name, true]);
    expect(device.supports('measure_read', [])).toBe(false);
    const weight = (kind: string) =>
      ({ dtype: 'f32', layout: { kind, group: 32, metaDtype: 'f16' } }) as never;
    expect(device.supports('linear', [null, weight('q4')])).toBe(true);
    expect(device.supports('linear', [null, weight('of the future')])).toBe(false);
    device.dispose();
  });

  it('plain TypeScript none: it runs references', () => {
    expect(openJsDevice().supports('linear', [])).toBe(false);
  });
});
