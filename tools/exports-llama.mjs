// What llama.cpp predicts after each of some tokens, for exports.py and format_table.py: probabilities of all `vocab` tokens, or without it
// that of the token that comes next.
// Use: node tools/exports-llama.mjs FOLDER < {path, tokens, vocab?}; FOLDER has node_modules/node-llama-cpp.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const { path, tokens, vocab } = JSON.parse(readFileSync(0, 'utf8'));
const entry = join(process.argv[2] ?? '.', 'node_modules/node-llama-cpp/dist/index.js');
const { getLlama } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const size = Math.max(256, tokens.length);
const context = await model.createContext({
  contextSize: size,
  batchSize: size,
  flashAttention: false,
  sequences: 1,
});
// All tokens take part, as they are.
const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const input = tokens.map((token) => [token, { generateNext: { probabilities: true, options } }]);
const found = await context.getSequence().controlledEvaluate(input);
const rows = found.map(({ next } = {}, i) => {
  if (vocab === undefined) return next?.probabilities?.get(tokens[i + 1]) ?? 0;
  const row = Array(vocab).fill(0);
  for (const [token, probability] of next?.probabilities ?? []) row[token] = probability;
  return row;
});
process.stdout.write(JSON.stringify(rows), () => process.exit(0));
