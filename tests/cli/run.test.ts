// `ingot run`.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, folder, loads, model } from './harness.ts';

describe('run', () => {
  test('streams an answer to the words of the prompt and gives the model back', async () => {
    const result = await cli([
      'run',
      'm',
      'Why',
      'me?',
      '--temperature',
      '0.5',
      '--stop',
      'a\\n',
      '--stop',
      'b',
    ]);
    expect(result).toMatchObject({ code: 0, out: 'You said Why me?\u001b[31m!\n', err: 'a notice\n' });
    expect(model.disposed).toBe(1);
    expect(model.asked[0]?.options).toMatchObject({ temperature: 0.5, stop: ['a\n', 'b'] });
  });

  test('control characters of a model do not reach a terminal', async () => {
    const result = await cli(['run', 'm', 'x'], { tty: true });
    expect(result.out).toBe('You said x[31m!\n');
  });

  test('takes the prompt from stdin, and refuses an empty one', async () => {
    expect((await cli(['run', 'm'], { stdin: 'from a pipe' })).out).toContain('from a pipe');
    expect(await cli(['run', 'm'], { stdin: ' \n' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('the prompt is empty'),
    });
  });

  test('--json prints one document with numbers', async () => {
    const { out } = await cli(['run', 'm', 'x', '--json', '--raw']);
    expect(JSON.parse(out)).toEqual({
      model: 'fake',
      text: 'x and so on',
      stats: {
        promptTokens: 5,
        cachedTokens: 0,
        generatedTokens: 3,
        prefillMs: 10,
        decodeMs: 20,
        tokensPerSecond: 150,
        stopReason: 'eos',
      },
    });
  });

  test('model options reach the engine, sizes in bytes', async () => {
    await cli([
      'run',
      'm',
      'x',
      '--device',
      'js',
      '--precision',
      'exact',
      '--memory-limit',
      '1.5GiB',
      '--threads',
      '2',
    ]);
    expect(loads[0]).toMatchObject({
      name: 'm',
      options: { device: 'js', precision: 'exact', memoryLimit: 1.5 * 2 ** 30, threads: 2 },
    });
  });

  test('--format holds the answer to a form, --think and --template reach the model', async () => {
    await cli(['run', 'm', 'x', '--format', 'json', '--no-think']);
    const file = join(folder, 'schema.json');
    await writeFile(file, '{"type": "integer"}');
    await cli(['run', 'm', 'x', '--format', file]);
    expect(model.asked.map(({ options }) => options)).toMatchObject([
      { responseFormat: { kind: 'json_object' }, thinking: false },
      { responseFormat: { kind: 'json_schema', schema: { type: 'integer' } } },
    ]);
    const template = join(folder, 't.jinja');
    await writeFile(template, '{{ messages[0].content }}');
    await cli(['run', 'm', 'x', '--template', template]);
    expect(loads.at(-1)).toMatchObject({ options: { chatTemplate: '{{ messages[0].content }}' } });
  });

  test('--stats goes to stderr', async () => {
    const { err } = await cli(['run', 'm', 'x', '--stats']);
    expect(err).toContain('3 tokens in 0.02 s (150 tokens/s), prompt 5 tokens in 0.01 s (500 tokens/s)');
  });
});
