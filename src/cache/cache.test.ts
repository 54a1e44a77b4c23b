// Both strategies under the one suite, on every device there is.

import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { testCacheStrategy } from '../testing/cache-conformance.ts';
import { PagedCache } from './paged.ts';
import { pagesFor } from './sizes.ts';
import { StandardCache } from './standard.ts';

const devices = { js: openJsDevice, ...(addonPath() ? { cpu: openCpuDevice } : {}) };

for (const [name, openDevice] of Object.entries(devices)) {
  testCacheStrategy({
    name: `standard on ${name}`,
    openDevice,
    open: (device, layers, options) => new StandardCache(device, layers, options),
  });
  testCacheStrategy({
    name: `paged on ${name}`,
    openDevice,
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
