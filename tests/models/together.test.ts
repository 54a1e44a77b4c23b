// Every family in the engine: the tokens of the reference when a prompt runs beside others of unequal length, comes in
// pieces, and begins with what an earlier one left.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { load } from '../../src/engine/load.ts';
import type { Model } from '../../src/engine/types.ts';

const root = new URL('../goldens/families/', import.meta.url);

const cases = readdirSync(root).sort();

interface Golden {
  readonly tokens: readonly number[];
  readonly continuation: readonly number[];
}

async function generate(model: Model, tokens: readonly number[], count: number) {
  const stream = model.generate(tokens, { maxTokens: count, temperature: 0, ignoreEos: true });
  const ids: number[] = [];
  for await (const id of stream) ids.push(id);
  return { ids, cached: stream.stats.cachedTokens };
}

test.each(cases)('%s', async (name) => {
  const read = (file: string): unknown => JSON.parse(readFileSync(new URL(`${name}/${file}`, root), 'utf8'));
  const golden = read('golden.json') as Golden;
  const { max_position_embeddings: context } = read('config.json') as { max_position_embeddings: number };
  const { tokens } = golden;
  const count = Math.min(golden.continuation.length, context - tokens.length);
  const continuation = golden.continuation.slice(0, count);
  const model = await load(new URL(name, root).pathname, {
    device: 'cpu',
    precision: 'exact',
    contextLength: tokens.length + count,
  });
  try {
    const others = [5, 33, 17].map((length) => tokens.slice(3, 3 + length));
    const [own, ...rest] = await Promise.all(
      [tokens, ...others].map((prompt) => generate(model, prompt, count)),
    );
    expect(own?.ids).toEqual(continuation);
    const alone: (typeof rest)[number][] = [];
    for (const prompt of others) alone.push(await generate(model, prompt, count));
    expect(rest.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
    // The same again, and a prompt that goes on from a part of the answer: both begin with pages that are known.
    const again = await generate(model, tokens, count);
    expect(again.ids).toEqual(continuation);
    if (tokens.length > 40) expect(again.cached).toBeGreaterThan(0);
    const longer = [...tokens, ...continuation.slice(0, count - 6)];
    const end = await generate(model, longer, 6);
    expect(end.ids).toEqual(continuation.slice(-6));
    if (longer.length > 70) expect(end.cached).toBeGreaterThanOrEqual(32);
  } finally {
    await model.dispose();
  }
});
