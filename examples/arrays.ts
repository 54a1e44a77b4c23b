// Lazy arrays: operations build a graph, and compile turns a function into a plan that a device replays.

import { compile, dynDim, fromData, openDevice, scalar, setDefaultDevice } from 'ingot/array';

const device = await openDevice('auto'); // native kernels, or plain TypeScript where they were not built
setDefaultDevice(device);

// Nothing is computed before the numbers are asked for.
const x = fromData([1, 2, 3, 4, 5, 6], [2, 3]);
const y = x.sub(x.mean(-1, true)).div(2);
console.log('centred rows', [...(await y.data())]);

// A plan for any number of rows up to 64, with a factor that is read at each run.
const weights = fromData([1, 0, 0, 1, 1, 1], [3, 2]);
const plan = compile(({ rows }) => rows.matmul(weights).mul(scalar('factor', 'f32')).softmax(-1), {
  device,
  inputs: { rows: { shape: [dynDim('n', 64), 3], dtype: 'f32' } },
});
for (const factor of [0, 1, 10]) {
  const [out] = await plan.run({ inputs: { rows: [1, 2, 3, 3, 2, 1] }, scalars: { factor } });
  const values = await out?.data();
  console.log(`factor ${factor}:`, [...(values ?? [])].map((v) => v.toFixed(3)).join(' '));
}
plan.dispose();
device.dispose();
