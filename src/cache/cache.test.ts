// All strategies under the one suite, with keys and values as floats and as codes, on every device there is.

import { tmpdir } from 'node:os';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { testCacheStrategy } from '../testing/cache-conformance.ts';
import { PagedCache } from './paged.ts';
import { pagesFor } from './sizes.ts';
import { StandardCache } from './standard.ts';

const devices = { js: openJsDevice, ...(addonPath() ? { cpu: openCpuDevice } : {}) };

const kinds = [undefined, 'q8', 'q4'] as const;

for (const [name, openDevice] of Object.entries(devices)) {
  for (const codes of kinds) {
    const as = codes === undefined ? { openDevice } : { openDevice, codes };
    testCacheStrategy({
      name: `standard on ${name}, ${codes ?? 'floats'}`,
      ...as,
      open: (device, layers, options) => new StandardCache(device, layers, options),
    });
    testCacheStrategy({
      name: `paged on ${name}, ${codes ?? 'floats'}`,
      ...as,
      open: (device, layers, { capacity, maxRows, dtype }) =>
        new PagedCache(device, layers, {
          pages: 2 * pagesFor(capacity),
          contextLength: capacity,
          maxSequences: 2,
          maxRows,
          dtype,
        }),
    });
  }
}

if (addonPath()) {
  testCacheStrategy({
    name: 'tiered on cpu',
    openDevice: openCpuDevice,
    open: (device, layers, { capacity, maxRows, dtype }) =>
      new PagedCache(device, layers, {
        pages: 2 * pagesFor(capacity),
        contextLength: capacity,
        maxSequences: 2,
        maxRows,
        dtype,
        tier: { folder: tmpdir(), readers: 3 },
      }),
  });
}
