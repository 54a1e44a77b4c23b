// Answers held to a schema, from a tiny random model through the whole engine: logits, masks, sampling, text.

import { rmSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answer } from '../../src/engine/answer.ts';
import { load } from '../../src/engine/load.ts';
import type { Model } from '../../src/engine/types.ts';
import { realisticSchemas } from '../../src/testing/schema-cases.ts';
import { tinyChatModel } from '../tiny-chat.ts';

let folder: string;
let model: Model;
beforeAll(async () => {
  const tiny = await tinyChatModel();
  folder = tiny.folder;
  model = await load(tiny.path);
});
afterAll(() => {
  model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function write(
  options: Parameters<typeof answer>[2],
): Promise<{ text: string; whole: boolean; calls: unknown[] }> {
  const stream = await answer(model, [{ role: 'user', content: 'Go.' }], {
    maxTokens: 250,
    temperature: 1.2,
    ...options,
  });
  let text = '';
  const calls: { name: string; json: string }[] = [];
  for await (const event of stream) {
    if (event.kind === 'text') text += event.text;
    if (event.kind === 'toolCall') calls.push({ name: event.name, json: '' });
    const last = calls.at(-1);
    if (event.kind === 'toolArguments' && last) last.json += event.json;
  }
  return { text, whole: stream.stats.stopReason === 'eos', calls };
}

/** Schemas whose texts are short, so that a random model comes to their end. */
const short = [
  ...[
    'sentiment',
    'constants',
    'enum of many kinds',
    'bounded list',
    'at least one property',
    'pattern and length',
  ],
  ...['bounds that tighten', 'any of with base', 'discriminated union'],
];

describe('a random model', () => {
  const bounded = realisticSchemas.filter(({ name }) => short.includes(name));
  it.each(bounded)('follows $name', async ({ schema }) => {
    const validate = new Ajv2020({ strict: false }).compile(schema);
    let whole = 0;
    for (let seed = 1; seed <= 3; seed++) {
      const written = await write({ responseFormat: { kind: 'json_schema', schema }, seed });
      if (!written.whole) continue;
      whole++;
      expect([written.text, validate(JSON.parse(written.text))]).toEqual([written.text, true]);
    }
    expect(whole).toBeGreaterThan(0);
  });

  it('calls the tool it is told to, with valid arguments', async () => {
    const parameters = {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 3, maximum: 5 } },
      required: ['n'],
    };
    const tools = [{ type: 'function' as const, function: { name: 'pick', parameters, strict: true } }];
    const { calls } = await write({ tools, toolChoice: { name: 'pick' }, seed: 1 });
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      name: 'pick',
      json: expect.stringMatching(/^\{\s*"n"\s*:\s*[345]\s*\}$/),
    });
  });

  it('follows several forms at a time', async () => {
    const choices = ['red', 'green', 'blue', 'pale pink'];
    const texts = await Promise.all(
      choices.map((choice, seed) => write({ responseFormat: { kind: 'choice', choices: [choice] }, seed })),
    );
    expect(texts.map(({ text }) => text)).toEqual(choices);
  });
});
