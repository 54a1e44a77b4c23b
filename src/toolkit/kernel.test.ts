// Kernels written by hand: the text on a GPU against the reference elsewhere, gradients, batches, families, and messages.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { compile } from '../array/compile.ts';
import { setDefaultDevice } from '../array/context.ts';
import { fromData } from '../array/creation.ts';
import { grad } from '../array/transform/grad.ts';
import { vmap } from '../array/transform/vmap.ts';
import { resetWarnings, setLogSink } from '../base/log.ts';
import { openJsDevice } from '../device/js/device.ts';
import { openDevice } from '../device/open.ts';
import { openNodeGpu } from '../device/webgpu/node.ts';
import { f32ToF16 } from '../quant/half.ts';
import { expectAllClose } from '../testing/allclose.ts';
import { type KernelOptions, kernel } from './kernel.ts';

const js = openJsDevice();
setDefaultDevice(js);
const cpu = await openDevice('cpu');
const gpu = await openNodeGpu({ software: true });
const said: string[] = [];
setLogSink((_, message) => said.push(message));
resetWarnings();
afterAll(() => {
  setLogSink(undefined);
  cpu.dispose();
  gpu.dispose();
});

/** Rows scaled by their own factor, and the sum of each pair of neighbours of a row. */
const options: KernelOptions = {
  name: 'scale_rows',
  inputs: { x: 'f32', s: 'f32' },
  outputs: {
    y: { dtype: 'f32', shape: ({ x }) => x as number[] },
    pairs: { dtype: 'f32', shape: ({ x }) => [x?.[0] as number, (x?.[1] as number) / 2] },
  },
  constants: ({ x }) => ({ D: x?.[1] as number }),
  variants: { WG: [64, 32] },
  workgroups: ({ pairs }, { WG }) => [
    Math.ceil(((pairs?.[0] as number) * (pairs?.[1] as number)) / (WG as number)),
  ],
  wgsl: `fn scaled(i: u32) -> f32 { return x[i] * s[i / D]; }
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let k = id.x;
  if (k >= pairs_size) { return; }
  let a = scaled(2u * k);
  let b = scaled(2u * k + 1u);
  y[2u * k] = a;
  y[2u * k + 1u] = b;
  pairs[k] = a + b;
}`,
  reference: ({ x, s }) => {
    const y = (x as NDArray).mul((s as NDArray).reshape([(s as NDArray).shape[0] as number, 1]));
    const [rows, columns] = y.shape as [number, number];
    return { y, pairs: y.reshape([rows, columns / 2, 2]).sum(2) };
  },
};
const scaleRows = kernel(options);
type Both = Readonly<Record<'y' | 'pairs', NDArray>>;

const x = Float32Array.from({ length: 30 }, (_, i) => i - 7);
const s = [2, -1, 0.5];

describe('a kernel written by hand', () => {
  it('runs its text on a GPU and its reference elsewhere, with a note', async () => {
    const inputs = { x: { shape: [3, 10], dtype: 'f16' }, s: { shape: [3], dtype: 'f32' } } as const;
    const want = Array.from(x, (v, i) => v * (s[Math.floor(i / 10)] as number));
    const bits = Uint16Array.from(x, f32ToF16);
    for (const device of [js, cpu, gpu]) {
      const fn = (a: { x: NDArray; s: NDArray }) => {
        const { y, pairs } = scaleRows(a.x, a.s) as Both;
        return [y.add(1), pairs];
      };
      using plan = compile(fn, { device, inputs });
      const [y, pairs] = await plan.run({ inputs: { x: bits, s } });
      expectAllClose(
        (await y?.data()) ?? [],
        want.map((v) => v + 1),
        { absolute: 0, relative: 0 },
        device.name,
      );
      const sums = Array.from(
        { length: 15 },
        (_, i) => (want[2 * i] as number) + (want[2 * i + 1] as number),
      );
      expectAllClose((await pairs?.data()) ?? [], sums, { absolute: 0, relative: 0 }, device.name);
      expect(plan.program.dispatches.some((d) => d.kernel.name === 'user')).toBe(device === gpu);
    }
    expect(said).toEqual(["kernel 'scale_rows' runs as its reference: this device runs no WGSL."]);
  });

  it('shows its text, with the constants of the shapes and of the family', () => {
    const text = scaleRows.source(gpu, {
      x: { shape: [4, 8], dtype: 'f32' },
      s: { shape: [4], dtype: 'f32' },
    });
    for (const part of [
      'const x_size = 32u;',
      'const D = 8u;',
      'const WG = 64u;',
      '@binding(3) var<storage, read_write> pairs',
    ]) {
      expect(text).toContain(part);
    }
  });

  it('has the gradient of its reference, or one by hand, and maps over batches', async () => {
    const [a, b] = [fromData(x, [3, 10]), fromData(s)];
    const loss = (p: NDArray, q: NDArray) => (scaleRows(p, q) as Both).pairs.square().sum();
    const [dx, ds] = grad(loss, [0, 1] as const)(a, b) as [NDArray, NDArray];
    const plain = (p: NDArray, q: NDArray) =>
      p
        .mul(q.reshape([3, 1]))
        .reshape([3, 5, 2])
        .sum(2)
        .square()
        .sum();
    const [wx, ws] = grad(plain, [0, 1] as const)(a, b) as [NDArray, NDArray];
    expectAllClose(await dx.data(), await wx.data(), { absolute: 1e-5, relative: 1e-5 }, 'dx');
    expectAllClose(await ds.data(), await ws.data(), { absolute: 1e-5, relative: 1e-5 }, 'ds');
    const byHand = kernel({
      ...options,
      gradient: ({ inputs, cotangents }) => ({
        x: (inputs.x as NDArray).mul(0).add((cotangents.y as NDArray).mul(3)),
      }),
    });
    const hand = grad((p: NDArray) => (byHand(p, b) as Both).y.sum())(a);
    expect(new Set(await hand.data())).toEqual(new Set([3]));
    const wide = vmap((p: NDArray) => (scaleRows(p, b) as Both).y)(a.reshape([1, 3, 10]));
    expectAllClose(
      await wide.data(),
      await (scaleRows(a, b) as Both).y.data(),
      { absolute: 0, relative: 0 },
      'vmap',
    );
  });

  const wrong: Readonly<Record<string, readonly [change: object, message: string]>> = {
    'without a name': [{ name: '' }, 'kernel: name is missing'],
    'without inputs': [{ inputs: {} }, "kernel 'scale_rows': inputs is missing: name at least one"],
    'without outputs': [{ outputs: {} }, 'outputs is missing'],
    'without a reference': [
      { reference: undefined },
      'reference is missing: a function of arrays that says what the kernel computes',
    ],
    'without an entry point': [{ wgsl: 'fn f() {}' }, 'wgsl with an entry point is missing'],
    'with an output that is an input': [{ inputs: { y: 'f32' } }, "'y' is an input and an output"],
  };
  it.each(Object.entries(wrong))('is refused %s', (_, [change, message]) => {
    expect(() => kernel({ ...options, ...change } as KernelOptions)).toThrow(message);
  });

  it('says what is wrong with a call, a reference, a launch and a text', async () => {
    const a = fromData(x, [3, 10]);
    expect(() => scaleRows(a)).toThrow('scale_rows takes 2 arrays (x, s), got 1');
    const other = kernel({ ...options, reference: ({ x: p }) => ({ y: p as NDArray, pairs: p as NDArray }) });
    await expect((other(a, fromData(s)) as Both).y.data()).rejects.toThrow(
      'the reference gives [3, 10] for output pairs, which is [3, 5]',
    );
    const shown = { x: { shape: [4, 8], dtype: 'f32' }, s: { shape: [4], dtype: 'f32' } } as const;
    expect(() => kernel({ ...options, workgroups: () => [70000] }).source(gpu, shown)).toThrow(
      '70000 x 1 x 1 workgroups',
    );
    expect(() => kernel({ ...options, enables: ['f16'] }).source(gpu, shown)).toThrow(
      "kernel 'scale_rows' needs f16, which this GPU lacks",
    );
    const broken = kernel({ ...options, wgsl: options.wgsl.replace('a + b', 'a + c') });
    using plan = compile(({ x: p, s: q }) => (broken(p, q) as Both).y, { device: gpu, inputs: shown });
    await expect(plan.run()).rejects.toThrow(
      /the GPU's compiler refused kernel 'scale_rows'[\s\S]*unresolved value 'c'[\s\S]*> +\d+ +pairs\[k\] = a \+ c;/,
    );
  });
});
