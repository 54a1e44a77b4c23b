// A process that opens the GPU: what it does while idle and how it ends is watched by webgpu.test.ts.

import { IngotError } from '../../src/base/errors.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';

const mode = process.argv[2];
try {
  const device = await openNodeGpu({ software: true });
  const buffer = device.allocate(64, 'x');
  await device.read(buffer, 0, 64);
  if (mode === 'idle') {
    const before = process.cpuUsage();
    await new Promise((resume) => setTimeout(resume, 1000));
    const { user, system } = process.cpuUsage(before);
    buffer.dispose();
    device.dispose();
    process.stdout.write(JSON.stringify({ ms: (user + system) / 1000 }));
  } else process.stdout.write('done\n');
} catch (error) {
  if (!(error instanceof IngotError)) throw error;
  process.stdout.write(`${error.code}: ${error.message}\n`);
}
