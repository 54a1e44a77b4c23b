// The model of the training row of `npm run bench -- array`; bench/peers/gpt.py has the same in PyTorch.

import type { NDArray } from '../src/array/array.ts';
import { scaledDotProductAttention } from '../src/array/functions/fast.ts';
import { Embedding, RoPE } from '../src/nn/layers/embedding.ts';
import { Linear } from '../src/nn/layers/linear.ts';
import { RMSNorm } from '../src/nn/layers/norms.ts';
import { Module } from '../src/nn/module.ts';

export const gptShape = { batch: 8, length: 256, width: 384, heads: 6, layers: 6, vocabulary: 256 } as const;
const { width, heads, layers, vocabulary } = gptShape;

class Block extends Module {
  norm1 = new RMSNorm(width);
  qkv = new Linear(width, 3 * width, { bias: false });
  rope = new RoPE(width / heads);
  out = new Linear(width, width, { bias: false });
  norm2 = new RMSNorm(width);
  up = new Linear(width, 4 * width);
  down = new Linear(4 * width, width);

  forward(x: NDArray): NDArray {
    const y = x.add(this.#attend(this.norm1.forward(x)));
    return y.add(this.down.forward(this.up.forward(this.norm2.forward(y)).gelu()));
  }

  #attend(x: NDArray): NDArray {
    const [B = 0, T = 0] = x.shape;
    const parts = this.qkv.forward(x).reshape([B, T, 3, heads, -1]).transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => parts.take(i, 0)) as [NDArray, NDArray, NDArray];
    const y = scaledDotProductAttention(this.rope.forward(q), this.rope.forward(k), v, { mask: 'causal' });
    return this.out.forward(y.transpose([0, 2, 1, 3]).reshape([B, T, width]));
  }
}

export class BenchGpt extends Module {
  embedding = new Embedding(vocabulary, width);
  blocks = Array.from({ length: layers }, () => new Block());
  norm = new RMSNorm(width);

  /** ids `[B, T]` -> logits `[B, T, vocabulary]`. */
  forward(ids: NDArray): NDArray {
    const y = this.blocks.reduce((x, block) => block.forward(x), this.embedding.forward(ids));
    return this.embedding.asLinear(this.norm.forward(y));
  }
}
