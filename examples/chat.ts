// Asks a model and prints the answer as it comes: chat.ts [MODEL] [QUESTION]

import { load } from 'ingot';

const [name = 'smollm2:135m', question = 'Why is the sky blue?'] = process.argv.slice(2);

const model = await load(name, {
  onProgress: ({ phase, bytesDone, bytesTotal }) => {
    if (phase === 'download') process.stderr.write(`\r${Math.round((100 * bytesDone) / bytesTotal)} %`);
  },
});
try {
  const answer = model.chat([{ role: 'user', content: question }], { maxTokens: 200, temperature: 0 });
  for await (const text of answer) process.stdout.write(text);
  const { generatedTokens, decodeMs, stopReason } = answer.stats;
  process.stdout.write(
    `\n[${generatedTokens} tokens, ${((1000 * generatedTokens) / decodeMs).toFixed(0)}/s, ${stopReason}]\n`,
  );
} finally {
  model.dispose();
}
