// Keys and values that differ in heads and width, in every strategy: attention as plain TypeScript computes it.

import { describe, expect, it } from 'vitest';
import { compile } from '../array/compile.ts';
import { dynDim } from '../base/shape.ts';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import type { FullSpec, HeadRows, LayerSpec } from '../nn/contracts.ts';
import { normal, randomNumbers } from '../testing/case-data.ts';
import type { CacheStore } from './contract.ts';
import { PagedCache } from './paged.ts';
import { type CacheDtype, commonRows } from './parts.ts';
import { StandardCache } from './standard.ts';

const [heads, length, maxRows, scale] = [8, 45, 40, 0.3] as const;
const devices = [openJsDevice(), ...(addonPath() === undefined ? [] : [openCpuDevice({ threads: 2 })])];

const strategies = {
  standard: (device, spec) => new StandardCache(device, spec, { capacity: 64, maxRows, dtype: 'f32' }),
  paged: (device, spec, dtype) =>
    new PagedCache(device, spec, { pages: 4, contextLength: 64, maxSequences: 1, maxRows, dtype }),
} satisfies Record<string, (device: Device, specs: readonly LayerSpec[], dtype: CacheDtype) => CacheStore>;

const drawn = (seed: number, { heads: h, width }: HeadRows): number[][][] => {
  const uniform = randomNumbers(seed);
  return Array.from({ length }, () =>
    Array.from({ length: h }, () => Array.from({ length: width }, () => normal(uniform))),
  );
};

/** What each head of each row sees of the positions up to its own, the last `window` of them. */
function expected(q: number[][][], k: number[][][], v: number[][][], window: number): number[] {
  return q.flatMap((row, at) =>
    row.flatMap((query, head) => {
      const of = (rows: number[][][], i: number): number[] => {
        const all = rows[i] as number[][];
        return all[Math.floor((head * all.length) / heads)] as number[];
      };
      const from = Math.max(0, at - window + 1);
      const weights = Array.from({ length: at - from + 1 }, (_, i) =>
        Math.exp(scale * query.reduce((sum, x, d) => sum + x * (of(k, from + i)[d] as number), 0)),
      );
      const total = weights.reduce((a, b) => a + b, 0);
      return of(v, at).map(
        (_, d) => weights.reduce((y, w, i) => y + w * (of(v, from + i)[d] as number), 0) / total,
      );
    }),
  );
}

async function attended(
  device: Device,
  store: CacheStore,
  [q, k, v]: readonly number[][][][],
): Promise<number[]> {
  const rows = dynDim('rows', maxRows);
  const input = (x: number[][][]) =>
    ({ shape: [rows, x[0]?.length as number, x[0]?.[0]?.length as number], dtype: 'f32' }) as const;
  const [queries, keys, values] = [q, k, v] as [number[][][], number[][][], number[][][]];
  const plan = compile(
    ({ q: a, k: b, v: c, positions, ...rest }) => {
      if (!a || !b || !c || !positions) throw new Error('an input is missing');
      return store.view(rest).attend(0, a, b, c, positions, { scale, precision: 'exact' });
    },
    {
      device,
      inputs: {
        q: input(queries),
        k: input(keys),
        v: input(values),
        positions: { shape: [rows], dtype: 'i32' },
        ...store.inputs(rows),
      },
    },
  );
  const sequence = store.create();
  const found: number[] = [];
  for (const size of [37, 1, 7]) {
    const from = sequence.length;
    sequence.extend(size);
    const part = (x: number[][][]) => x.slice(from, from + size).flat(2);
    const [y] = await plan.run({
      inputs: {
        q: part(queries),
        k: part(keys),
        v: part(values),
        positions: Array.from({ length: size }, (_, i) => from + i),
        ...store.bind([{ sequence, rows: size }]),
      },
    });
    found.push(...((await y?.data()) ?? []));
  }
  sequence.dispose();
  return found;
}

const pairs: readonly (readonly [keys: HeadRows, values: HeadRows])[] = [
  [
    { heads: 2, width: 48 },
    { heads: 2, width: 32 },
  ],
  [
    { heads: 4, width: 16 },
    { heads: 2, width: 32 },
  ],
  [
    { heads: 1, width: 24 },
    { heads: 8, width: 24 },
  ],
];

describe.each(Object.entries(strategies))('%s', (_, make) => {
  it.each(pairs)('keys %o, values %o', async (keys, values) => {
    const given = [drawn(1, { heads, width: keys.width }), drawn(2, keys), drawn(3, values)] as const;
    for (const device of devices) {
      for (const window of [undefined, 11]) {
        const base = { keys, values };
        const spec: LayerSpec =
          window === undefined ? { kind: 'full', ...base } : { kind: 'window', window, ...base };
        const store = make(device, [spec], 'f32');
        const got = await attended(device, store, given);
        const want = expected(...given, window ?? length);
        expect(got).toHaveLength(want.length);
        expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] as number))))).toBeLessThan(2e-5);
        store.dispose();
      }
    }
  });
});

it('keeps them as codes, too', async () => {
  const [keys, values] = [
    { heads: 2, width: 48 },
    { heads: 4, width: 32 },
  ];
  const given = [drawn(1, { heads, width: 48 }), drawn(2, keys), drawn(3, values)] as const;
  for (const device of devices) {
    const store = strategies.paged(device, [{ kind: 'full', keys, values }], 'q8');
    const got = await attended(device, store, given);
    const want = expected(...given, length);
    expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] as number))))).toBeLessThan(0.05);
    store.dispose();
  }
});

it('refuses heads that do not divide', () => {
  const spec: FullSpec = { kind: 'full', keys: { heads: 2, width: 8 }, values: { heads: 3, width: 8 } };
  expect(() => commonRows(spec)).toThrow(
    '2 heads of keys and 3 of values: one must be a multiple of the other',
  );
});
