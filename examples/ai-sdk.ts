// The Vercel AI SDK over a model in this process, without a server: ai-sdk.ts [MODEL] [QUESTION]

import { streamText } from 'ai';
import { createIngot } from 'ingot/ai-sdk';

const [name = 'smollm2:135m', prompt = 'Why is the sky blue?'] = process.argv.slice(2);

const ingot = createIngot();
const result = streamText({ model: ingot(name), prompt, temperature: 0, maxOutputTokens: 100 });
for await (const text of result.textStream) process.stdout.write(text);

const { inputTokens, outputTokens } = await result.totalUsage;
process.stdout.write(`\n[${inputTokens} tokens in, ${outputTokens} out, ${await result.finishReason}]\n`);
await ingot.dispose();
