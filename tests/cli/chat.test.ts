// `ingot chat`, fed from a pipe.

import { describe, expect, test } from 'vitest';
import { IngotError } from '../../src/base/errors.ts';
import { cli, loads, model } from './harness.ts';

describe('chat from a pipe', () => {
  test('keeps the conversation, follows commands, and ends with the input', async () => {
    const stdin = 'one\n\ntwo\n/system Be kind\n"""\nthree\nlines\n"""\n/nonsense\n/reset\nfour\n';
    const { code, out } = await cli(['chat', 'm'], { stdin });
    expect(code).toBe(0);
    const asked = model.asked.map(({ messages, options }) => [
      messages.map((m) => m.content),
      options?.system,
    ]);
    expect(asked).toEqual([
      [['one'], undefined],
      [['one', 'You said one\u001b[31m!', 'two'], undefined],
      [['three\nlines'], 'Be kind'],
      [['four'], 'Be kind'],
    ]);
    expect(out).toContain('/nonsense is not a command');
    expect(model.disposed).toBe(1);
  });

  test('settings hold for the next answers, and a wrong one changes nothing', async () => {
    const lines = [
      '/set parameter temperature 0.25',
      '/set parameter temperature hot',
      '/set parameter stop "a b"',
      '/set system Be brief',
      '/set format json',
      '/set nothink',
      'one',
      '/set noformat',
      '/set quiet now',
      'two',
      '/set',
      '/bye',
      'three',
    ];
    const { code, out, err } = await cli(['chat', 'm', '--seed', '7'], { stdin: `${lines.join('\n')}\n` });
    expect(code).toBe(0);
    expect(model.asked.map(({ options }) => options)).toMatchObject([
      {
        temperature: 0.25,
        seed: 7,
        stop: ['a b'],
        system: 'Be brief',
        thinking: false,
        responseFormat: { kind: 'json_object' },
      },
      { temperature: 0.25, responseFormat: undefined },
    ]);
    expect(err).toContain('temperature must be a number, got "hot"');
    expect(err).toContain('/set quiet takes no value');
    expect(out).toContain('nowordwrap');
  });

  test('/save keeps a conversation, /load goes on with it, num_ctx loads anew', async () => {
    const saving = 'one\n/set system Be kind\n/save kept\n/show modelfile\n';
    const { out } = await cli(['chat', 'm', '--temperature', '0'], { stdin: saving });
    expect(out).toContain('FROM m\nSYSTEM """Be kind"""\nPARAMETER temperature 0\nMESSAGE user """one"""');
    loads.length = 0;
    await cli(['chat', 'other'], {
      stdin: '/load kept\n/set parameter num_ctx 64\ntwo\n/clear\nthree\n',
    });
    expect(loads.map(({ name, options }) => [name, options?.contextLength])).toEqual([
      ['other', undefined],
      ['kept', undefined],
      ['kept', 64],
    ]);
    expect(model.asked.slice(1).map(({ messages }) => messages.map(({ content }) => content))).toEqual([
      ['one', 'You said one\u001b[31m!', 'two'],
      ['three'],
    ]);
    expect(model.disposed).toBe(4);
  });

  test('an error of one answer is shown and the talk goes on', async () => {
    const answer = model.chat.bind(model);
    model.chat = (messages, options) => {
      if (messages.at(-1)?.content === 'bad') throw new IngotError('context_overflow', 'too long');
      return answer(messages, options);
    };
    const { code, err } = await cli(['chat', 'm'], { stdin: 'bad\ngood\n' });
    expect([code, err]).toEqual([0, 'a notice\n\nerror: too long\n']);
    expect(model.asked[0]?.messages.map((m) => m.content)).toEqual(['good']);
  });
});
