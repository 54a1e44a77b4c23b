// A server whose model has a rotating window: chats go on beyond it, alone and beside others, and say the same as the model itself.

import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Message } from '../../src/chat/messages.ts';
import { load } from '../../src/engine/load.ts';
import { tinyChatModel } from '../tiny-chat.ts';
import { startHarness } from './harness.ts';

const options = { threads: 1, precision: 'exact', contextLength: 128 } as const;
const ask = { model: 'tiny', max_tokens: 100, temperature: 1, seed: 1 };
const long = 'a window of one hundred and twenty eight. '.repeat(6);

interface Completion {
  readonly choices: readonly [{ readonly message: { readonly content: string } }];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

test('chats outgrow a rotating window, turn by turn and several at a time', async () => {
  const { folder, path } = await tinyChatModel();
  try {
    await using fixed = await startHarness({ load: () => load(path, options) });
    const first: Message[] = [{ role: 'user', content: long }];
    const refused = await fixed.post('/v1/chat/completions', { ...ask, messages: first });
    expect(refused.status).toBe(400);

    await using harness = await startHarness({
      load: () => load(path, { ...options, kv: 'rotating', maxSequences: 2 }),
    });
    const complete = async (messages: readonly Message[]): Promise<Completion> => {
      const response = await harness.post('/v1/chat/completions', { ...ask, messages });
      expect(response.status).toBe(200);
      return (await response.json()) as Completion;
    };
    await using alone = await load(path, { ...options, kv: 'rotating' });
    const messages = [...first];
    for (let turn = 0; turn < 3; turn++) {
      const before = messages.length;
      // Three at a time where two have room.
      const answers = await Promise.all([complete(messages), complete(messages), complete(messages)]);
      const [{ choices, usage }] = answers as [Completion, ...Completion[]];
      const { content } = choices[0].message;
      expect(usage.prompt_tokens).toBeGreaterThan(128 * (turn + 1));
      expect(answers.map((answer) => answer.choices[0].message.content)).toEqual([content, content, content]);
      const { text } = await alone.chat(messages, { maxTokens: 100, temperature: 1, seed: 1 }).whole();
      expect(content).toBe(text);
      messages.push({ role: 'assistant', content }, { role: 'user', content: `${long}${turn}` });
      expect(messages).toHaveLength(before + 2);
    }
    // As a stream, too.
    const response = await harness.post('/v1/chat/completions', { ...ask, messages, stream: true });
    const events = (await response.text()).split('\n\n').filter((line) => line.startsWith('data: {'));
    expect(events.length).toBeGreaterThan(1);
    expect(events.join('')).toMatch(/"finish_reason":"(stop|length)"/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
