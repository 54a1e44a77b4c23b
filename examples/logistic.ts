// Logistic regression with gradients and nothing else: which side of a line are points on? logistic.ts [STEPS]

import {
  evaluate,
  fromData,
  losses,
  openDevice,
  random,
  setDefaultDevice,
  tidy,
  valueAndGrad,
} from 'ingot/array';

setDefaultDevice(await openDevice('auto'));
random.seed(4);
const steps = Number(process.argv[2] ?? 200);

// The truth to find: a point is of class 1 where 2 x - 3 y + 0.5 is above 0.
const points = random.normal([256, 2]);
const truth = fromData([[2], [-3]]);
const classes = points.matmul(truth).add(0.5).gt(0).cast('f32');
await evaluate(points, classes);

let model = { weight: fromData([[0], [0]]), bias: fromData([0]) };
const lossAndGrad = valueAndGrad((m: typeof model) =>
  losses.binaryCrossEntropy(points.matmul(m.weight).add(m.bias), classes),
);

for (let i = 0; i < steps; i++) {
  const before = model;
  const [loss, next] = tidy(() => {
    const [value, grad] = lossAndGrad(model);
    const weight = model.weight.sub(grad.weight.mul(2));
    return [value, { weight, bias: model.bias.sub(grad.bias.mul(2)) }] as const;
  });
  await evaluate(loss, next.weight, next.bias);
  if (i % 50 === 0) console.log(`step ${i}, loss ${(await loss.item()).toFixed(4)}`);
  model = next;
  for (const x of [before.weight, before.bias, loss]) x.dispose();
}

const right = points.matmul(model.weight).add(model.bias).gt(0).eq(classes.gt(0)).cast('f32').mean();
const [a = 0, b = 0] = await model.weight.data();
console.log(`right: ${(100 * (await right.item())).toFixed(1)} %, slope ${(-a / b).toFixed(2)} (truth 0.67)`);
