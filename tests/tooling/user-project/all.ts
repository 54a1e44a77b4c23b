import { type Answer, IngotError, type LoadOptions, load } from 'ingot';
import { createIngot } from 'ingot/ai-sdk';
import { grad, type Array as NDArray } from 'ingot/array';
import { Linear } from 'ingot/nn';
import { createServerApp } from 'ingot/server';
import { z } from 'zod';

const options: LoadOptions = { device: 'cpu', defaults: { system: 'Be brief' } };

export async function main(): Promise<Answer> {
  await using model = await load('smollm2:135m', options);
  const session = model.session({
    tools: {
      weather: {
        parameters: z.object({ city: z.string() }),
        execute: ({ city }: { city: string }) => `rain in ${city}`,
      },
    },
  });
  const { text } = await session.ask('Rain in Oslo?');
  const vectors: readonly Float32Array[] = await model.embed(['a', 'b']);
  if (vectors.length !== 2) throw new IngotError('internal', text);
  return await model.ask('Hi', { maxTokens: 8 });
}

export const slope = grad((x: NDArray) => x.mul(x).sum());
export const layer = new Linear(4, 2);
export const provider = createIngot();
export const app = createServerApp({
  configured: [],
  cacheDir: undefined,
  aliases: new Map(),
  load,
});
