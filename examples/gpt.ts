// A small GPT that learns to write stories, letter by letter: gpt.ts [STEPS] [--svg FILE]. 300 steps end at a loss below 1.7.
// A plan holds the whole step: loss, gradients, clipping, AdamW, and parameters updated where they lie.

import { readFileSync, writeFileSync } from 'node:fs';
import { fast, fromData, type Array as NDArray, openDevice, random, setDefaultDevice } from 'ingot/array';
import * as nn from 'ingot/nn';

const args = process.argv.slice(2);
const svg = args.includes('--svg') ? args[args.indexOf('--svg') + 1] : undefined;
const steps = Number(args.find((a) => /^\d+$/.test(a)) ?? 300);
const [batch, length, dims, heads, depth] = [16, 64, 96, 4, 3];

const text = readFileSync(new URL('data/stories.txt', import.meta.url), 'utf8');
const letters = [...new Set(text)].sort();
const ids = Int32Array.from(text, (letter) => letters.indexOf(letter));

class Block extends nn.Module {
  norm1 = new nn.RMSNorm(dims);
  qkv = new nn.Linear(dims, 3 * dims, { bias: false });
  rope = new nn.RoPE(dims / heads);
  out = new nn.Linear(dims, dims, { bias: false });
  norm2 = new nn.RMSNorm(dims);
  up = new nn.Linear(dims, 4 * dims);
  down = new nn.Linear(4 * dims, dims);

  forward(x: NDArray): NDArray {
    const y = x.add(this.#attend(this.norm1.forward(x)));
    return y.add(this.down.forward(this.up.forward(this.norm2.forward(y)).gelu()));
  }

  #attend(x: NDArray): NDArray {
    const [B = 0, T = 0] = x.shape;
    const parts = this.qkv.forward(x).reshape([B, T, 3, heads, -1]).transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => parts.take(i, 0)) as [NDArray, NDArray, NDArray];
    const y = fast.scaledDotProductAttention(this.rope.forward(q), this.rope.forward(k), v, {
      mask: 'causal',
    });
    return this.out.forward(y.transpose([0, 2, 1, 3]).reshape([B, T, dims]));
  }
}

class GPT extends nn.Module {
  embedding = new nn.Embedding(letters.length, dims);
  blocks = Array.from({ length: depth }, () => new Block());
  norm = new nn.RMSNorm(dims);

  /** ids `[B, T]` -> logits `[B, T, letters]`; the head is the table of the embedding. */
  forward(x: NDArray): NDArray {
    const y = this.blocks.reduce((h, block) => block.forward(h), this.embedding.forward(x));
    return this.embedding.asLinear(this.norm.forward(y));
  }
}

setDefaultDevice(await openDevice('auto'));
random.seed(1);
const model = new GPT();
console.log(
  `${model.parameterCount} parameters, ${ids.length} letters of text, ${letters.length} different ones`,
);

const step = await nn.trainingStep(model, {
  optimizer: nn.optim.chain(
    nn.optim.clipByGlobalNorm(1),
    nn.optim.adamw({
      learningRate: nn.optim.warmupCosine({ peak: 4e-3, warmup: 20, steps: 300, end: 4e-4 }),
    }),
  ),
  inputs: { x: { shape: [batch, length], dtype: 'i32' }, y: { shape: [batch, length], dtype: 'i32' } },
  loss: ({ x, y }) => nn.losses.crossEntropy(model.forward(x), y, { reduction: 'mean' }),
});

/** Pieces of the text at random places, and the same one letter further. */
let state = 7;
function pieces(): { x: Int32Array; y: Int32Array } {
  const [x, y] = [new Int32Array(batch * length), new Int32Array(batch * length)];
  for (let b = 0; b < batch; b++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const at = Math.floor((state / 2 ** 32) * (ids.length - length - 1));
    x.set(ids.subarray(at, at + length), b * length);
    y.set(ids.subarray(at + 1, at + length + 1), b * length);
  }
  return { x, y };
}

const losses: number[] = [];
for (let i = 1; i <= steps; i++) {
  losses.push((await step.run(pieces())).loss);
  if (i % 10 > 0 && i < steps) continue;
  const recent = losses.slice(-10);
  const loss = recent.reduce((a, b) => a + b, 0) / recent.length;
  const done = Math.round((20 * i) / steps);
  process.stdout.write(
    `\r[${'#'.repeat(done)}${'.'.repeat(20 - done)}] step ${i} of ${steps}, loss ${loss.toFixed(3)} `,
  );
}
process.stdout.write('\n');
await step.sync();
step.dispose();
if (svg !== undefined) writeFileSync(svg, curve(losses));

// Writes on from a beginning: a letter drawn by its probability, likely ones more often.
model.eval();
let story = 'The ';
for (let i = 0; i < 60; i++) {
  const context = Int32Array.from(story.slice(-length).padStart(length), (l) =>
    Math.max(0, letters.indexOf(l)),
  );
  const logits = model
    .forward(fromData(context, [1, length]))
    .take(length - 1, 1)
    .mul(1.5);
  story += letters[await random.categorical(logits).item()];
}
console.log(JSON.stringify(story));

/** The losses as a line in an SVG of 640 by 320. */
function curve(values: readonly number[]): string {
  const [high, low] = [Math.max(...values), Math.min(...values)];
  const points = values.map((v, i) => {
    const x = 50 + (580 * i) / Math.max(1, values.length - 1);
    return `${x.toFixed(1)},${(20 + (270 * (high - v)) / (high - low || 1)).toFixed(1)}`;
  });
  const label = (y: number, v: number): string =>
    `<text x="44" y="${y}" text-anchor="end">${v.toFixed(2)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 320" font-family="sans-serif" font-size="12">
<path d="M50 20V290H630" fill="none" stroke="#888"/>${label(24, high)}${label(294, low)}
<text x="630" y="308" text-anchor="end">step ${values.length}</text>
<polyline points="${points.join(' ')}" fill="none" stroke="#06c" stroke-width="1.5"/>
</svg>
`;
}
