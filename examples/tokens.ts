// Works below the level of text: token ids in and out, log probabilities, logits. tokens.ts [MODEL]

import { load } from 'ingot';

const model = await load(process.argv[2] ?? 'smollm2:135m', { precision: 'exact', contextLength: 256 });
try {
  const prompt = model.tokenizer?.encode('The capital of France is') ?? [1, 2, 3];

  // Token ids as they are generated, with the three most likely tokens of each step.
  const stream = model.generate(prompt, { maxTokens: 5, temperature: 0, logprobs: 3 });
  const generated: number[] = [];
  for await (const id of stream) generated.push(id);
  console.log('generated', generated, JSON.stringify(model.tokenizer?.decode(generated)));
  for (const { id, logprob, top } of stream.stats.logprobs) {
    console.log(`  ${id} at ${logprob.toFixed(3)}, most likely ${top.map((t) => t.id).join(', ')}`);
  }

  // Row i of the logits follows token i, so the last row predicts the first generated token.
  const { data, shape } = await model.logits(prompt);
  const [rows, vocabulary] = shape;
  const last = data.subarray((rows - 1) * vocabulary);
  console.log('argmax of the last row', last.indexOf(Math.max(...last)));
} finally {
  model.dispose();
}
