// What this machine has, and models larger than its memory.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, folder, loads, outlook } from './harness.ts';

describe('models larger than memory', () => {
  test('doctor says how one would run, and why one would not', async () => {
    const { out } = await cli(['doctor', 'moe', '--memory', '2GB']);
    expect(out).toMatch(/runs here +yes, experts read from disk/);
    expect(out).toMatch(/dense weights 500 MB, experts 1(\.0+)? GB of 4\.50? GB \(one token uses 600 MB\)/);
    expect(out).toMatch(/misses +80 % of a token's experts are read/);
    expect(out).toMatch(/at most +4.17 tokens\/s/);
    expect(out).toMatch(/expected +3.5 tokens\/s/);
    const none = { division: undefined, problem: 'needs 3 GB', speed: undefined };
    const refused = await cli(['doctor', 'moe'], {
      engine: { outlook: async () => ({ ...outlook, ...none }) },
    });
    expect(refused.out).toMatch(/runs here +no\nwhy not +needs 3 GB/);
    expect((await cli(['doctor', '--memory', '2GB'])).err).toContain('needs a model');
    expect((await cli(['doctor', 'moe', '--device', 'js'])).err).toContain('cpu, webgpu, webgpu:N');
  });

  test('stats tells the skew of each layer, and counts a text', async () => {
    const { out } = await cli(['stats', 'moe']);
    expect(out).toContain('/m/moe.routing.json: 1,000 tokens');
    expect(out).toMatch(/model\.layers\.0 +32 +3 +25\.0 % +50\.0 % +87\.5 %/);
    await writeFile(join(folder, 'text'), 'five!');
    expect((await cli(['stats', 'moe', '--text', join(folder, 'text')])).out).toContain(': 5 tokens');
    expect((await cli(['stats', 'moe', '--text', join(folder, 'none')])).err).toContain('cannot be read');
  });

  test('budgets and hot shares reach the loader', async () => {
    await cli(['run', 'm', 'x', '--memory', '4GB', '--expert-bytes', '1GB', '--hot', '20%']);
    expect(loads[0]?.options).toMatchObject({ memoryLimit: 4e9, experts: { bytes: 1e9, hot: 0.2 } });
    expect((await cli(['run', 'm', 'x', '--hot', '120%'])).err).toContain('a share such as 20%');
    await cli(['run', 'm', 'x', '--prefer-resident', '30%', '--drop-misses', '5%']);
    expect(loads.at(-1)?.options?.experts).toMatchObject({ preferResident: 0.3, dropMisses: 0.05 });
  });
});

describe('doctor --gpu', () => {
  test('shows each GPU with its number and speeds, and what is missing', async () => {
    const list = {
      gpus: [
        {
          description: 'google swiftshader',
          features: ['subgroups'],
          limits: { maxBufferSize: 1024 },
          copyGBs: 5.4,
          dispatchUs: 12.345,
          roundTripMs: 0.5,
          matrixTflops: undefined,
          software: true,
        },
      ],
      problem: 'no GPU',
    };
    const { out } = await cli(['doctor', '--gpu'], { engine: { listGpus: async () => list } });
    expect(out).toMatch(/webgpu:0 +google swiftshader \(software/);
    expect(out).toMatch(/dispatch +12\.35 us\n/);
    expect(out).toMatch(/maxBufferSize +1024/);
    expect(out).toMatch(/missing +no GPU/);
  });
});
