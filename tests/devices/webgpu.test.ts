// What the WebGPU device promises when things go wrong or are missing, on the software adapter.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { build } from 'tsdown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IngotError } from '../../src/base/errors.ts';
import type { DeviceBuffer, DeviceProgram, Dispatch } from '../../src/device/device.ts';
import { isSoftware, openAdapter } from '../../src/device/webgpu/adapter.ts';
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts';
import { listAdapters, loadDawn, type NodeGpuOptions, openNodeGpu } from '../../src/device/webgpu/node.ts';
import { PipelineCache } from '../../src/device/webgpu/pipelines.ts';

const opened: WebGpuDevice[] = [];
async function open(options: NodeGpuOptions = {}): Promise<WebGpuDevice> {
  const device = await openNodeGpu({ software: true, ...options });
  opened.push(device);
  return device;
}
afterAll(() => {
  for (const device of opened) device.dispose();
});

const slice = (buffer: DeviceBuffer, byteLength = buffer.byteLength, offset = 0) =>
  ({ kind: 'buffer', buffer, offset, byteLength }) as const;

/** y = x of n words. */
const copyWords = (x: DeviceBuffer, y: DeviceBuffer, n: number): Dispatch => ({
  kernel: { kind: 'native', name: 'copy' },
  buffers: [slice(x, 4 * n), slice(y, 4 * n)],
  params: [1, 4, n, 1, 1, 0, 0],
  label: `copy ${n}`,
});
const program = (...dispatches: Dispatch[]): DeviceProgram => ({ dispatches, arenaBytes: 0, scalars: [] });

const failure = async (work: Promise<unknown>): Promise<IngotError> =>
  work.then(
    () => expect.fail('should have failed'),
    (error: IngotError) => error,
  );

describe('adapters', () => {
  it('a machine without a GPU is told what to install; software adapters are not taken unasked', async () => {
    const adapters = await listAdapters(await loadDawn());
    if (adapters.some((a) => !isSoftware(a))) return; // this machine has one: nothing to refuse
    const error = await failure(openNodeGpu());
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(error.message).toMatch(/no GPU was found \(0: .*\(software\)\)/);
  });

  it('an adapter number that does not exist names those that do', async () => {
    const error = await failure(openNodeGpu({ index: 9 }));
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatch(/no GPU number 9 \(0: /);
  });

  it('limits below the baseline are refused with the numbers', async () => {
    const [adapter] = await listAdapters(await loadDawn());
    if (adapter === undefined) return;
    const small = new Proxy(adapter, {
      get(target, key) {
        if (key === 'limits') return { ...target.limits, maxStorageBuffersPerShaderStage: 4 };
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const error = await failure(openAdapter(small, new Set()));
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(error.message).toMatch(/maxStorageBuffersPerShaderStage 4, and 8 are needed/);
  });

  it('features can be left out: kernels are told of none', async () => {
    const device = await open({ without: ['shader-f16', 'subgroups', 'packed_4x8_integer_dot_product'] });
    expect(device.caps).toMatchObject({ f16: false, subgroups: undefined, dot4: false });
    expect(device.description).toContain('no f16, no subgroups');
  });
});

describe('shaders', () => {
  it('one that does not compile fails by name, with its lines numbered', async () => {
    const device = await open();
    const pass = {
      name: 'broken kernel',
      bindings: [],
      code: '@compute @workgroup_size(1)\nfn main() {\n  let x: f32 = 1u;\n}\n',
      groups: [1, 1, 1] as const,
    };
    const error = await failure(new PipelineCache(device.gpu).get(pass).pipeline);
    expect(error.code).toBe('device_failed');
    expect(error.message).toContain("refused kernel 'broken kernel'");
    expect(error.message).toMatch(/> +4 +let x: f32 = 1u;/);
  });

  it('a kernel that the device does not have is named when the program is compiled, and nothing stays', async () => {
    const device = await open();
    const x = device.allocate(64, 'x');
    const dispatch = { ...copyWords(x, x, 4), kernel: { kind: 'native', name: 'nonsense' } as const };
    const before = device.statistics();
    expect(() => device.compile(program(dispatch))).toThrow(/has no kernel 'nonsense'/);
    expect(device.statistics().liveBytes).toBe(before.liveBytes);
    x.dispose();
  });
});

describe('memory', () => {
  it('a budget refuses what goes beyond it, with the sizes, and can be used again after', async () => {
    const device = await open({ memoryLimit: 1 << 20 });
    const first = device.allocate(1_000_000, 'weights of layer 0');
    expect(() => device.allocate(100_000, 'weights of layer 1')).toThrow(
      /100000 bytes on the GPU for weights of layer 1: 1000000 are in use and the limit is 1048576/,
    );
    first.dispose();
    device.allocate(1_000_000, 'weights of layer 1').dispose();
    expect(device.statistics()).toMatchObject({ liveBuffers: 0, liveBytes: 0, peakBytes: 1_000_000 });
  });

  it('a program over the budget is refused whole', async () => {
    const device = await open({ memoryLimit: 1 << 20 });
    const large = { ...program(), arenaSlots: [0, 1].map((i) => ({ offset: i << 20, byteLength: 600_000 })) };
    expect(() => device.compile(large)).toThrow(/arena/);
    expect(device.statistics().liveBytes).toBe(0);
  });

  it('a buffer larger than the adapter allows is refused with its limit', async () => {
    const device = await open();
    const limit = device.gpu.limits.maxBufferSize;
    expect(() => device.allocate(limit + 16, 'too much')).toThrow(new RegExp(`one buffer can have ${limit}`));
  });

  it('an operand larger than a binding is refused by name where a kernel cannot split it', async () => {
    const device = await open({ limits: { maxBindingBytes: 1024 } });
    const [x, y] = [device.allocate(4096, 'x'), device.allocate(4096, 'y')];
    const run = device.compile(program(copyWords(x, y, 1024)));
    const error = await failure(run.run({}));
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(error.message).toMatch(/copy 1024: buffer 0 has 4096 bytes, this GPU binds 1024 at most/);
    for (const owner of [run, x, y]) owner.dispose();
    expect(device.statistics()).toMatchObject({ liveBuffers: 0, liveBytes: 0 });
  });

  it('disposal brings buffers and bytes back to zero, also of programs with views and scratch', async () => {
    const device = await open();
    const [x, y] = [device.allocate(400, 'x'), device.allocate(400, 'y')];
    const view = { ...copyWords(x, y, 9), buffers: [slice(x, 36, 20), slice(y, 36, 4)] };
    device.write(
      x,
      0,
      Float32Array.from({ length: 100 }, (_, i) => i),
    );
    const run = device.compile(program(view));
    await run.run({});
    const bytes = await device.read(y, 0, 44);
    expect([...new Float32Array(bytes.slice().buffer)]).toEqual([0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0]);
    for (const owner of [run, run, x, y, y]) owner.dispose();
    expect(device.statistics()).toMatchObject({ liveBuffers: 0, liveBytes: 0 });
    await expect(run.run({})).rejects.toMatchObject({ code: 'disposed' });
  });

  it('the memory of unaligned transfers is given back', async () => {
    const device = await open();
    const created: GPUBuffer[] = [];
    const destroyed = new Set<GPUBuffer>();
    const make = device.gpu.createBuffer.bind(device.gpu);
    device.gpu.createBuffer = (descriptor) => {
      const buffer = make(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        destroyed.add(buffer);
        return destroy();
      };
      created.push(buffer);
      return buffer;
    };
    const x = device.allocate(64, 'x');
    const run = device.compile(program());
    const range = slice(x, 3, 5);
    await run.run(
      {},
      {
        writes: [{ to: range, data: new Uint8Array([1, 2, 3]) }],
        copies: [{ from: range, to: slice(x, 3, 30) }],
      },
    );
    device.write(x, 1, new Uint8Array([9]));
    expect([...(await device.read(x, 0, 40)).filter((b) => b > 0)]).toEqual([9, 1, 2, 3, 1, 2, 3]);
    run.dispose();
    x.dispose();
    const alive = created.filter((b) => !destroyed.has(b)).map((b) => b.label);
    expect(alive.filter((label) => label !== 'readback')).toEqual([]);
  });
});

describe('a device that is lost', () => {
  it('rejects runs in flight and later ones with device_lost; a new device works', async () => {
    const device = await open();
    const [x, y] = [device.allocate(64, 'x'), device.allocate(64, 'y')];
    const run = device.compile(program(copyWords(x, y, 16)));
    await run.run({});
    const inFlight = [run.run({}, { reads: [slice(y)] }), run.run({}), device.read(x, 0, 8)];
    device.gpu.destroy();
    for (const outcome of await Promise.allSettled(inFlight)) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'device_lost' });
    }
    await device.gpu.lost;
    const later = await failure(run.run({}));
    expect(later).toMatchObject({ code: 'device_lost' });
    expect(later.message).toMatch(/lost .*load it again/);
    await expect(device.read(x, 0, 8)).rejects.toMatchObject({ code: 'device_lost' });
    expect(() => device.allocate(16, 'z')).toThrow(/lost/);
    expect(() => device.compile(program())).toThrow(/lost/);
    for (const owner of [run, x, y]) owner.dispose();
    expect(device.statistics()).toMatchObject({ liveBuffers: 0, liveBytes: 0 });
    device.dispose();

    const again = await open();
    const z = again.allocate(16, 'z');
    again.write(z, 0, new Uint8Array([1, 2, 3, 4]));
    expect([...(await again.read(z, 0, 4))]).toEqual([1, 2, 3, 4]);
    z.dispose();
  });

  it('a command that the GPU refuses fails the runs, by its message', async () => {
    const device = await open();
    const x = device.allocate(16, 'x');
    device.gpu
      .createCommandEncoder()
      .copyBufferToBuffer(
        (x as never as { gpu: GPUBuffer }).gpu,
        2,
        (x as never as { gpu: GPUBuffer }).gpu,
        0,
        3,
      );
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(
      (x as never as { gpu: GPUBuffer }).gpu,
      0,
      (x as never as { gpu: GPUBuffer }).gpu,
      0,
      64,
    );
    device.gpu.queue.submit([encoder.finish()]);
    await device.gpu.queue.onSubmittedWorkDone();
    const error = await failure(device.read(x, 0, 4));
    expect(error.code).toBe('device_failed');
    expect(error.message).toMatch(/refused a command/);
    x.dispose();
  });
});

describe('order and time', () => {
  it('runs that wait for pipelines keep their order, with reads and writes between them', async () => {
    const device = await open();
    const [x, y, z] = ['x', 'y', 'z'].map((label) => device.allocate(64, label)) as [
      DeviceBuffer,
      DeviceBuffer,
      DeviceBuffer,
    ];
    const first = device.compile(program(copyWords(x, y, 5)));
    const second = device.compile(program(copyWords(y, z, 7)));
    device.write(x, 0, new Float32Array(16).fill(1));
    const runs = [first.run({}), second.run({})];
    device.write(x, 0, new Float32Array(16).fill(2));
    const early = device.read(z, 0, 4);
    runs.push(first.run({}), second.run({}));
    const late = device.read(z, 0, 4);
    await Promise.all(runs);
    const number = async (bytes: Promise<Uint8Array>): Promise<number | undefined> =>
      new Float32Array((await bytes).slice().buffer)[0];
    expect(await number(early)).toBe(1);
    expect(await number(late)).toBe(2);
    for (const owner of [first, second, x, y, z]) owner.dispose();
  });

  it('one run that fails does not stop those behind it', async () => {
    const device = await open();
    const [x, y, ids] = [device.allocate(16, 'x'), device.allocate(16, 'y'), device.allocate(16, 'ids')];
    const gather: Dispatch = {
      kernel: { kind: 'native', name: 'gather' },
      buffers: [slice(x), slice(ids, 4), slice(y, 4)],
      params: [1, 4, 1, 1, 4],
      label: 'gather',
    };
    const run = device.compile(program(gather));
    device.write(ids, 0, Int32Array.of(99));
    const bad = run.run({});
    device.write(ids, 0, Int32Array.of(3));
    const good = run.run({});
    await expect(bad).rejects.toMatchObject({ code: 'device_failed' });
    await expect(good).resolves.toEqual([]);
    for (const owner of [run, x, y, ids]) owner.dispose();
  });

  it('profiles give the time of each dispatch', async () => {
    const device = await open();
    if (!device.canTime) return;
    const [x, y] = [device.allocate(64, 'x'), device.allocate(64, 'y')];
    const run = device.compile(program(copyWords(x, y, 16), copyWords(x, y, 3)), { profile: true });
    for (let i = 0; i < 3; i++) await run.run({});
    const times = run.profile();
    expect(times.map((t) => t.label)).toEqual(['copy 16', 'copy 3']);
    for (const { ns } of times) expect(ns).toBeGreaterThanOrEqual(0);
    for (const owner of [run, x, y]) owner.dispose();
  });
});

describe('a process of its own', () => {
  const folder = 'node_modules/.cache/gpu-process';
  const run = async (mode: string, env: Readonly<Record<string, string>> = {}) =>
    promisify(execFile)(process.execPath, [`${folder}/gpu-process.js`, mode], {
      env: { ...process.env, ...env },
      timeout: 60_000, // one that does not exit by itself fails
    });
  beforeAll(async () => {
    await build({
      config: false,
      entry: ['tests/devices/gpu-process.ts'],
      outDir: folder,
      dts: false,
      fixedExtension: false,
      logLevel: 'error',
    });
  });

  it('idles without using a processor, and exits after disposal', async () => {
    const { stdout } = await run('idle');
    expect(JSON.parse(stdout).ms).toBeLessThan(300); // a spinning thread takes 1000
  });
  it('exits when nothing was disposed', async () => {
    expect((await run('forget')).stdout).toBe('done\n');
  });
  it('without any driver is told what is needed', async () => {
    const none = '/nonexistent.json';
    const { stdout } = await run('open', { VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none });
    expect(stdout).toMatch(/^unsupported: no GPU was found \(.*needed.*\): use device 'cpu'/);
  });
});
