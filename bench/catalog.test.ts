import { expect, it } from 'vitest';
import { openJsDevice } from '../src/device/js/device.ts';
import * as catalog from '../src/toolkit/catalog/index.ts';
import { benchRows } from './catalog-cases.ts';

it('has a benchmark row for every kernel of the catalog, and no other', () => {
  const kernels = Object.entries(catalog).flatMap(([module, all]) =>
    Object.keys(all).map((name) => `${module}.${name}`),
  );
  expect(Object.keys(benchRows(openJsDevice())).sort()).toEqual(kernels.sort());
});
