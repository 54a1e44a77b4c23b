// Wrong use, failures, and Ctrl-C.

import { describe, expect, test } from 'vitest';
import { IngotError } from '../../src/base/errors.ts';
import { Interrupt } from '../../src/cli/context.ts';
import { cli, controller, model } from './harness.ts';

describe('wrong use and failures', () => {
  test.each([
    [['run'], /missing required argument 'model'/],
    [['run', 'm', 'x', '--temprature', '1'], /unknown option '--temprature'[\s\S]*--help shows the options/],
    [['run', 'm', 'x', '--top-k', 'many'], /It must be a whole number/],
    [['run', 'm', 'x', '--memory-limit', 'lots'], /such as 4GB/],
    [['run', 'm', 'x', '--device', 'gpu9'], /Allowed choices are auto, cpu, webgpu, webgpu:N, js/],
    [['eval', 'm'], /required option '--text <file>'/],
    [['serve', '--port', '99999'], /'99999' is invalid. It must be a port, from 0 to 65535/],
    [['stop', '--port', '70000'], /It must be a port/],
    [['run', 'm', 'x', '--raw', '--system', 'y'], /--system: a raw prompt has no messages around it/],
    [['run', 'm', 'x', '--logprobs', '2'], /--logprobs: are printed with --json only/],
    [['run', 'm', 'x', '--threads', '2', '--device', 'webgpu'], /--threads means nothing to --device webgpu/],
    [['run', 'm', 'x', '--format', '{"type": 3'], /the schema is not JSON/],
    [
      ['run', 'm', 'x', '--format', 'none.json'],
      /none.json cannot be read: .*a format is "json", a JSON Schema/,
    ],
    [['chat', 'm', '--template', 'none.jinja'], /none.jinja cannot be read/],
    [['serve', '--no-preload'], /--no-preload: no model is named here/],
    [['stop', 'm', '--all'], /--all: a model is let go by every server/],
    [['launch', 'vim', 'm'], /Allowed choices are claude, codex, opencode/],
    [['show', 'm', '--system', '--json'], /say one of --modelfile/],
    [['embed', 'm'], /there is no text/],
    [['create', 'x', '-f', 'none'], /none cannot be read/],
    [['fly'], /unknown command 'fly'/],
  ])('%j', async (args, message) => {
    expect(await cli(args)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(message) });
  });

  test('help and version end well', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
    expect((await cli([])).out).toContain('Commands:');
    expect((await cli(['run', '--help'])).out).toContain('--max-tokens');
  });

  test('an error is one line; a bug comes with its stack', async () => {
    const fail = (error: Error) => ({ engine: { resolve: () => Promise.reject(error) } });
    expect(await cli(['pull', 'x'], fail(new IngotError('disk_full', 'no room')))).toEqual({
      code: 1,
      out: '',
      err: 'error: no room\n',
    });
    const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/x'"), { syscall: 'mkdir' });
    expect((await cli(['pull', 'x'], fail(denied))).err).toBe(
      "error: EACCES: permission denied, mkdir '/x'\n",
    );
    expect((await cli(['pull', 'x'], fail(new TypeError('oops')))).err).toMatch(
      /error: oops\nThis is a bug.*\n.*at /s,
    );
  });

  test('a process that is asked to end says so as shells do', async () => {
    model.chat = () => {
      controller.abort(new Interrupt('SIGTERM'));
      throw controller.signal.reason;
    };
    expect(await cli(['run', 'm', 'x'])).toMatchObject({ code: 143 });
  });

  test('help is as wide as the terminal', async () => {
    const { out } = await cli(['serve', '--help'], { tty: true, columns: 60 });
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(60);
  });

  test('Ctrl-C is no error, and the model is given back', async () => {
    model.chat = () => {
      controller.abort();
      throw controller.signal.reason;
    };
    expect(await cli(['run', 'm', 'x'])).toEqual({ code: 130, out: '', err: 'a notice\n\ninterrupted\n' });
    expect(model.disposed).toBe(1);
  });
});
