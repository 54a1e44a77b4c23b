// `ingot validate`.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { ValidateOptions } from '../../src/engine/validate.ts';
import { capsule, cli, folder } from './harness.ts';

describe('validate', () => {
  let asked: ValidateOptions | undefined;
  const engine = (passed: boolean) => ({
    validate: async (_: string, options: ValidateOptions) => {
      asked = options;
      options.onPrompts?.(1, 2);
      return { ...capsule, passed };
    },
  });
  afterEach(() => {
    process.exitCode = undefined;
  });

  test('shows what was found, and fails where a promise was broken', async () => {
    await writeFile(join(folder, 'prompts.txt'), 'one\n\ntwo\n');
    const args = ['validate', 'm', '--tokens', '4', '--prompts', join(folder, 'prompts.txt')];
    const { code, out, err } = await cli([...args, '--patterns=-rope_kv', '--against', 'device=js'], {
      engine: engine(false),
    });
    expect(code).toBe(1);
    expect(out).toMatch(/decode, tokens\/s +10 +12 +1\.2\n/);
    expect(out).toContain(
      'tokens: 0 of 1 prompts the same to the end\nBROKEN  every token is the same: 1 of 1',
    );
    expect(err).toContain('Comparing: 50 %, 1 of 2');
    expect(asked).toMatchObject({
      tokens: 4,
      prompts: ['one', 'two'],
      against: 'device=js',
      patterns: { rope_kv: false },
      version: '1.2.3',
    });
    process.exitCode = undefined;
    expect((await cli(['validate', 'm'], { engine: engine(true) })).code).toBe(0);
  });

  test('what was saved is rendered later', async () => {
    const file = join(folder, 'c.json');
    const { out } = await cli(['validate', 'm', '--json', '--save', file], { engine: engine(true) });
    expect(JSON.parse(out)).toMatchObject({ capsule: 1, passed: true });
    const rendered = await cli(['validate', '--report', file]);
    expect(rendered).toMatchObject({ code: 0, out: `${join(folder, 'c.md')}\n${join(folder, 'c.svg')}\n` });
    expect(await readFile(join(folder, 'c.md'), 'utf8')).toContain('![speeds and tokens](c.svg)');
    expect(await readFile(join(folder, 'c.svg'), 'utf8')).toMatch(/^<svg /);
  });

  test('errors say what to do', async () => {
    expect((await cli(['validate'])).err).toContain('say which model to validate, or give --report <file>');
    const patterns = await cli(['validate', 'm', '--patterns', 'rope']);
    expect(patterns).toMatchObject({ code: 1, err: expect.stringContaining('there is no pattern "rope"') });
    expect((await cli(['validate', '--report', join(folder, 'none.json')])).err).toContain(
      'none.json cannot be read',
    );
  });
});
