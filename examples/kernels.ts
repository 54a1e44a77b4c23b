// A cookbook of kernels: ten recipes, each of which checks itself. docs/cookbook.md tells what they are for.

import { compile, fromData, grad, openDevice, setDefaultDevice, vmap } from 'ingot/array';
import { catalog, elementwise, kernel, mapReduce, reduce } from 'ingot/kernel';
import { assertGradientMatches, assertMatches, bench } from 'ingot/testing';

const device = await openDevice('auto');
setDefaultDevice(device);
const show = async (title: string, ...arrays: { data(): Promise<ArrayLike<number>> }[]): Promise<void> => {
  const lists = await Promise.all(
    arrays.map(async (a) => Array.from(await a.data(), (v) => Number(v.toFixed(3))).join(' ')),
  );
  console.log(`${title}: ${lists.join(' | ')}`);
};
const x = fromData([-2, -0.5, 0, 1, 2, 3], [2, 3]);

// 1. An activation in one line, with its gradient.
const mish = elementwise('x * tanh(softplus(x))');
await show('1 mish', mish(x), grad((v: typeof x) => mish(v).sum())(x));

// 2. A gated unit with a bias that broadcasts, and a number as an operand.
const gated = elementwise('let g = gate + bias; silu(g) * up * scale', {
  inputs: ['gate', 'up', 'bias', 'scale'],
});
await show('2 gated', gated(x, x, fromData([1, 0, -1]), 0.5));

// 3. Several results from one reading of the operands: a step of Adam without a scheduler of memory.
const adam = elementwise(
  `let m1 = 0.9 * m + 0.1 * g;
   let v1 = 0.999 * v + 0.001 * g * g;
   { p: p - rate * m1 / (sqrt(v1) + 1e-8), m: m1, v: v1 }`,
  { inputs: ['p', 'g', 'm', 'v', 'rate'] },
);
const { p, m, v } = adam(x, x, x.mul(0), x.mul(0), 0.01);
if (p && m && v) await show('3 adam', p, m);

// 4. A gradient by hand: rounding that lets gradients through.
const straightThrough = elementwise('round(x * 4) / 4', { gradient: { x: 'g' } });
await show('4 rounded', straightThrough(x), grad((w: typeof x) => straightThrough(w).square().sum())(x));

// 5. A reduction of your own: log of the sum of exponents, without overflow, in one pass.
const logSumExp = reduce({
  init: { m: '-inf', s: 0 },
  update: { m: 'max(m, x)', s: 's * exp(m == -inf ? 0 : m - max(m, x)) + exp(x - max(m, x))' },
  combine: { m: 'max(a.m, b.m)', s: 'a.s * exp(a.m - max(a.m, b.m)) + b.s * exp(b.m - max(a.m, b.m))' },
  finalize: 'm + log(s)',
});
await show('5 logSumExp', logSumExp(x));

// 6. Passes over each row, then a value for each element: a layer norm, over the first axis.
const norm = mapReduce({
  passes: {
    mean: { init: 0, update: 'acc + x', combine: 'a + b', finalize: 'acc / n' },
    variance: { init: 0, update: 'acc + (x - mean) * (x - mean)', combine: 'a + b', finalize: 'acc / n' },
  },
  write: '(x - mean) * rsqrt(variance + 1e-5)',
  axis: 0,
});
await show('6 norm', norm(x));

// 7. WGSL by hand: reversing rows, on a GPU; its reference runs elsewhere.
const reversed = kernel({
  name: 'reverse_rows',
  inputs: { a: 'f32' },
  outputs: { y: { dtype: 'f32', shape: ({ a = [] }) => a } },
  constants: ({ a = [] }) => ({ D: a.at(-1) ?? 1 }),
  variants: { WG: [64, 128, 256] },
  workgroups: (_, { a_size = 0, WG = 64 }) => [Math.ceil(a_size / WG)],
  wgsl: `@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i < a_size) { y[i] = a[(i / D) * D + D - 1u - i % D]; }
}`,
  reference: ({ a = x }) => a.slice(null, [(a.shape[1] as number) - 1, -(a.shape[1] as number) - 1, -1]),
});
await show('7 reversed', reversed(x) as typeof x);

// 8. Kernels inside compile and vmap: neighbours become one program.
using plan = compile(({ a }) => mish(a.mul(2)).add(1), {
  device,
  inputs: { a: { shape: [2, 3], dtype: 'f16' } },
});
console.log(
  `8 programs: ${plan.program.dispatches.length}, rows alike: ${vmap((row: typeof x) => norm(row))(x).shape}`,
);

// 9. From the catalog: residual and norm in one kernel, and a loss whose logits are never in memory.
const { y, h } = catalog.norms.addRmsNorm(x, x, fromData([1, 1, 1]));
const loss = catalog.loss.linearCrossEntropy(
  h,
  fromData([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1], [4, 3]),
  fromData(Int32Array.from([3, 0])),
);
await show('9 catalog', y, loss);

// 10. Proof and price: against plain operations, on f32 and bf16, and timed beside them.
const plain = (a: typeof x): typeof x => a.mul(a.exp().add(1).log().tanh());
await assertMatches(mish, plain, { shapes: [[[4, 33]]], dtypes: ['f32', 'bf16'], devices: [device] });
await assertGradientMatches(mish, plain, { shapes: [[[4, 33]]], devices: [device] });
const { measurements } = await bench.compare(
  { plain, mish },
  { shapes: [[[64, 64]]], device, warmup: 1, runs: 3 },
);
console.log(`10 measured: ${measurements.map((r) => r.name).join(', ')}`);
device.dispose();
