import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DeviceProgram, JsKernel } from '../device.ts';
import { readFile } from '../files.ts';
import { openJsDevice } from './device.ts';

const program = (run: JsKernel, count = 1): DeviceProgram => ({
  arenaBytes: 64,
  scalars: [{ name: 's', type: 'i32' }],
  dispatches: Array.from({ length: count }, (_, i) => ({
    kernel: { kind: 'js' as const, name: 'k', run },
    buffers: [{ kind: 'arena' as const, offset: 0, byteLength: 8 }],
    params: [{ scalar: 's', mul: 2, add: 1 }, i],
    label: `k${i}`,
  })),
});

describe('js device', () => {
  it('runs dispatches in order with their params', async () => {
    const device = openJsDevice();
    const seen: number[][] = [];
    const compiled = device.compile(
      program(([bytes], params) => {
        seen.push([...params]);
        if (bytes) bytes[0] = params[0] as number;
      }, 3),
      { profile: true },
    );
    await compiled.run({ s: 5 });
    expect(seen).toEqual([
      [11, 0],
      [11, 1],
      [11, 2],
    ]);
    expect(compiled.readArena(0, 1)[0]).toBe(11);
    expect(compiled.profile().map((p) => p.label)).toEqual(['k0', 'k1', 'k2']);
    await expect(compiled.run({})).rejects.toThrow(/scalar s is missing/);
    compiled.dispose();
    await expect(compiled.run({ s: 1 })).rejects.toThrow(/disposed/);
    expect(device.statistics().liveBuffers).toBe(0);
  });

  it('gives the event loop turns during a long run', async () => {
    const device = openJsDevice();
    const compiled = device.compile(
      program(() => {
        const end = performance.now() + 4;
        while (performance.now() < end);
      }, 20),
    );
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await compiled.run({ s: 0 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });

  it('rejects with the label of the dispatch that failed, and runs again', async () => {
    const device = openJsDevice();
    let fails = true;
    const compiled = device.compile(
      program(() => {
        if (fails) throw new Error('boom');
      }),
    );
    await expect(compiled.run({ s: 0 })).rejects.toThrow(/k0: boom/);
    fails = false;
    await compiled.run({ s: 0 });
  });

  it('maps a range of a file and refuses a short one', async () => {
    const device = openJsDevice({ readFile });
    const folder = mkdtempSync(join(tmpdir(), 'ingot-js-'));
    try {
      const path = join(folder, 'weights');
      writeFileSync(
        path,
        Uint8Array.from({ length: 100 }, (_, i) => i),
      );
      const buffer = device.map(path, 10, 20, 'weights');
      expect([...(await device.read(buffer, 0, 3))]).toEqual([10, 11, 12]);
      expect(() => device.map(path, 90, 20, 'weights')).toThrow(/ends before byte 110/);
      expect(() => openJsDevice().map(path, 0, 1, 'weights')).toThrow(/there are no files here/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses buffers of another device', () => {
    const buffer = openJsDevice().allocate(4, 'alien');
    expect(() => openJsDevice().write(buffer, 0, new Uint8Array(1))).toThrow(
      /alien belongs to another device/,
    );
  });
});
