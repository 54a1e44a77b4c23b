// A file that is truncated while it is mapped: an error that names it, and no signal that ends the process.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it as test } from 'vitest';
import { addonContract, addonPath } from './addon.ts';
import { openCpuDevice } from './device.ts';

const it = test.skipIf(addonPath() === undefined);
const MIB = 2 ** 20;
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-lost-'));
  path = join(folder, 'weights.ingot');
  writeFileSync(path, new Uint8Array(4 * MIB).fill(7));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs lines of JavaScript that know the addon, and a mapping of the file, in a process of their own. */
function inProcess(lines: string) {
  const script = `
    const addon = require(${JSON.stringify(addonPath())});
    if (addon.contract !== ${addonContract}) throw new Error('another addon');
    const { truncateSync, writeFileSync } = require('node:fs');
    const path = ${JSON.stringify(path)};
    const memory = addon.map(path, 4096, ${4 * MIB - 4096});
    const attempt = (what) => { try { return String(what()); } catch (error) { return error.message; } };
    const last = () => addon.read(memory, ${3 * MIB}, 1)[0];
    ${lines}`;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
  });
  return { end: signal ?? status, lines: stdout.trimEnd().split('\n'), stderr };
}

it('is an error in a process of its own, and other files stay readable', () => {
  const found = inProcess(`
    console.log(attempt(last));
    const other = path + '.other';
    writeFileSync(other, new Uint8Array(${MIB}).fill(5));
    const second = addon.map(other, 0, ${MIB});
    truncateSync(path, 8192);
    console.log(attempt(last));
    console.log(attempt(last));
    console.log(addon.read(second, ${MIB} - 1, 1)[0]);
    addon.freeMemory(memory);
    writeFileSync(path, new Uint8Array(${4 * MIB}).fill(8));
    const again = addon.map(path, 0, ${4 * MIB});
    console.log(addon.read(again, ${3 * MIB}, 1)[0]);`);
  expect(found).toEqual({
    end: 0,
    lines: ['7', `lost file: ${path}`, `lost file: ${path}`, '5', '8'],
    stderr: '',
  });
});

it('leaves other bus errors as deadly as they are', () => {
  expect(inProcess("process.kill(process.pid, 'SIGBUS'); setTimeout(() => {}, 60_000);").end).toBe('SIGBUS');
});

it('fails the run that read it, with the name of the file', async () => {
  const device = openCpuDevice({ threads: 1 });
  const weights = device.map(path, 0, 4 * MIB, 'weights');
  const target = device.allocate(64, 'target');
  const program = device.compile({ dispatches: [], arenaBytes: 0, scalars: [] });
  const from = { kind: 'buffer', buffer: weights, offset: 3 * MIB, byteLength: 64 } as const;
  const to = { kind: 'buffer', buffer: target, offset: 0, byteLength: 64 } as const;
  const run = () => program.run({}, { copies: [{ from, to }], reads: [to] });
  expect((await run())[0]?.[0]).toBe(7);
  truncateSync(path, MIB);
  await expect(run()).rejects.toMatchObject({
    code: 'bad_file',
    details: { file: path, field: 'size' },
    message: expect.stringContaining('put it back and load the model again'),
  });
  await expect(device.read(weights, 3 * MIB, 4)).rejects.toThrow(
    /weights.ingot: size: the file became shorter/,
  );
  for (const owned of [program, weights, target, device]) owned.dispose();
});
