// Commands that write models, as processes that are asked to end in the middle of it: nothing is left behind.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtCommand } from '../server/built.ts';
import { until } from '../server/harness.ts';

const place = mkdtempSync(join(tmpdir(), 'ingot-interrupted-'));
const source = join(place, 'source');

/** A Llama of 3 billion zeros, most of them in one matrix: the file has holes in place of weights. */
function sparseModel(): void {
  const [vocab, hidden, inner] = [1 << 21, 1024, 1024];
  const config = {
    model_type: 'llama',
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: 1,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
  const layer = 'model.layers.0';
  const square = ['q', 'k', 'v', 'o'].map((name) => `${layer}.self_attn.${name}_proj.weight`);
  const shapes: readonly (readonly [string, readonly number[]])[] = [
    ...square.map((name) => [name, [hidden, hidden]] as const),
    ...['gate', 'up', 'down'].map((name) => [`${layer}.mlp.${name}_proj.weight`, [inner, hidden]] as const),
    ...['input_layernorm', 'post_attention_layernorm'].map(
      (name) => [`${layer}.${name}.weight`, [hidden]] as const,
    ),
    ['model.norm.weight', [hidden]],
    ['model.embed_tokens.weight', [vocab, hidden]],
  ];
  let end = 0;
  const entries = shapes.map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((product, n) => product * n, 1);
    return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }] as const;
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  mkdirSync(source);
  writeFileSync(join(source, 'config.json'), JSON.stringify(config));
  const file = join(source, 'model.safetensors');
  writeFileSync(file, Buffer.concat([size, header]));
  truncateSync(file, 8 + header.length + end);
}

beforeAll(async () => {
  await builtCommand();
  sparseModel();
}, 300_000);
afterAll(() => rmSync(place, { recursive: true }));

const partial = (): boolean => readdirSync(place).some((name) => name.endsWith('.partial'));

test.each([
  ['quantize', 'SIGTERM', 143, ['quantize', source, '--to', 'affine4', '--out', join(place, 'out')]],
  ['convert', 'SIGINT', 130, ['convert', source, '--to', 'mlx', '--out', join(place, 'out')]],
  ['pack', 'SIGTERM', 143, ['pack', source, join(place, 'out')]],
] as const)('%s that gets %s leaves nothing', async (_, signal, code, args) => {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args], { stdio: 'ignore' });
  const exit = once(child, 'exit');
  await until(partial, 'it writes');
  child.kill(signal);
  expect(await exit).toEqual([code, null]);
  expect(readdirSync(place)).toEqual(['source']);
});
