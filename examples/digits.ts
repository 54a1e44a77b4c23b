// A network of two layers that reads digits, drawn here with noise and in random places: digits.ts [STEPS]

import { fromData, openDevice, random, setDefaultDevice } from 'ingot/array';
import * as nn from 'ingot/nn';

const steps = Number(process.argv[2] ?? 300);
const size = 12;
const batch = 64;

/** Digits of 3 by 5 dots, a bit for each. */
const glyphs = [
  '111101101101111',
  '010110010010111',
  '111001111100111',
  '111001111001111',
  '101101111001001',
  '111100111001111',
  '111100111101111',
  '111001001001001',
  '111101111101111',
  '111101111001111',
];

let state = 3;
const number = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

/** Pictures `[count, size * size]` of digits twice as large as their dots, and which ones they are. */
function draw(count: number): { x: Float32Array; y: Int32Array } {
  const x = Float32Array.from({ length: count * size * size }, () => 0.4 * (number() - 0.5));
  const y = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    y[i] = Math.floor(number() * 10);
    const glyph = glyphs[y[i] as number] as string;
    const [left, top] = [Math.floor(number() * (size - 6)), Math.floor(number() * (size - 10))];
    for (let row = 0; row < 10; row++) {
      for (let column = 0; column < 6; column++) {
        if (glyph[3 * (row >> 1) + (column >> 1)] === '0') continue;
        const at = (i * size + top + row) * size + left + column;
        x[at] = (x[at] as number) + 1;
      }
    }
  }
  return { x, y };
}

setDefaultDevice(await openDevice('auto'));
random.seed(2);
const model = new nn.Sequential(
  new nn.Linear(size * size, 128),
  new nn.ReLU(),
  new nn.Dropout(0.1),
  new nn.Linear(128, 10),
);
const step = await nn.trainingStep(model, {
  optimizer: nn.optim.adamw({ learningRate: nn.optim.cosineDecay(3e-3, steps) }),
  inputs: { x: { shape: [batch, size * size], dtype: 'f32' }, y: { shape: [batch], dtype: 'i32' } },
  loss: ({ x, y }) => {
    const logits = model.forward(x);
    const right = logits.argmax(-1).eq(y).cast('f32').mean();
    return [nn.losses.crossEntropy(logits, y, { reduction: 'mean' }), { right }];
  },
});
for (let i = 1; i <= steps; i++) {
  const { loss, right } = await step.run(draw(batch));
  if (i % 100 === 0)
    console.log(`step ${i}, loss ${loss.toFixed(3)}, right ${(100 * Number(right)).toFixed(0)} %`);
}
await step.sync();
step.dispose();

const test = draw(500);
const answers = await model
  .eval()
  .forward(fromData(test.x, [500, size * size]))
  .argmax(-1)
  .data();
const right = test.y.filter((digit, i) => answers[i] === digit).length;
console.log(`${right} of 500 new digits read right`);
