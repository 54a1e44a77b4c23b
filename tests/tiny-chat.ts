// A tiny random model with a tokenizer and a chat template, as a GGUF file.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { metadataOf, modelFile } from '../bench/model-file.ts';
import type { BenchShape } from '../bench/shapes.ts';
import { f32 } from '../src/weights/gguf/writer.ts';

const shape: BenchShape = {
  name: 'tiny',
  description: 'for tests',
  architecture: 'llama',
  layers: 2,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  headDim: 32,
  inner: 128,
  vocab: 512,
  tied: true,
  ropeBase: 10_000,
};
// ChatML, like the default model.
const template =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}<|im_start|>assistant\\n";

/**
 * Writes the model into a new folder, which is the caller's to remove. It answers with the most likely tokens unless told
 * otherwise: one time in 512 a drawn token would be the end of the text.
 */
export async function tinyChatModel(): Promise<{ readonly folder: string; readonly path: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-tiny-'));
  const path = await modelFile(shape, folder, {
    ...metadataOf(shape),
    'tokenizer.chat_template': template,
    'general.sampling.temp': f32(0),
  });
  return { folder, path };
}
