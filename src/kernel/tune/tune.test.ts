import { describe, expect, it } from 'vitest';
import { ChoiceBook } from './choices.ts';
import { inherit, kindOf } from './relatives.ts';
import { relativeChoices, shippedChoices } from './shipped.ts';

const h100 = 'nvidia nvidia-h100-80gb-hbm3';

describe('relatives of an adapter', () => {
  it.each([
    [h100, 'nvidia', 'hopper'],
    ['nvidia nvidia-h200', 'nvidia', 'hopper'],
    ['NVIDIA GH200 480GB', 'nvidia', 'hopper'],
    ['nvidia ampere nvidia-a100-sxm4-40gb', 'nvidia', 'ampere'],
    ['nvidia NVIDIA GeForce RTX 3060', 'nvidia', 'ampere'],
    ['nvidia NVIDIA GeForce RTX 4090', 'nvidia', 'ada'],
    ['nvidia NVIDIA RTX 6000 Ada Generation', 'nvidia', 'ada'],
    ['nvidia NVIDIA L40S', 'nvidia', 'ada'],
    ['nvidia NVIDIA GeForce RTX 5090', 'nvidia', 'blackwell'],
    ['nvidia Tesla T4', 'nvidia', 'turing'],
    ['amd rdna-3 AMD Radeon RX 7900 XTX', 'amd', 'rdna-3'],
    ['apple metal-3 Apple M2 Max', 'apple', 'm2'],
    ['intel xe-hpg Intel Arc A770', 'intel', 'xe-hpg'],
    ['google swiftshader swiftshader-device-subzero-', 'google', ''],
  ])('%s is of %s, %s', (name, vendor, architecture) => {
    expect(kindOf({ name })).toEqual({ vendor, architecture });
  });

  it('believes the driver where names say nothing', () => {
    expect(kindOf({ name: 'arm Mali', vendor: 'ARM', architecture: 'Valhall' })).toEqual({
      vendor: 'arm',
      architecture: 'valhall',
    });
  });

  it('gives an H200 all of the H100, chains too', () => {
    const found = relativeChoices({ name: 'nvidia nvidia-h200', vendor: 'nvidia' });
    expect(found?.from).toBe(h100);
    expect(found?.choices).toEqual(shippedChoices({ name: h100 }));
    expect(Object.keys(found?.choices ?? {}).filter((k) => k.startsWith('chain '))).not.toEqual([]);
    expect(shippedChoices({ name: 'nvidia nvidia-h200' })).toEqual({});
  });

  it('takes the nearest architecture of a vendor, without what depends on its size', () => {
    const choices = { 'chain mlp K576': '132x256', 'linear_row q4': 'a' };
    const known = [
      { name: 'nvidia h100', choices: { 'linear_row q4': 'b' } },
      { name: 'nvidia rtx 4090', choices },
    ];
    expect(inherit({ name: 'nvidia rtx 3060' }, known)).toEqual({
      from: 'nvidia rtx 4090',
      choices: { 'linear_row q4': 'a' },
    });
    expect(inherit({ name: 'nvidia rtx 4060' }, known)?.choices).toEqual(choices);
    expect(inherit({ name: 'nvidia something new' }, known)?.choices).toEqual({ 'linear_row q4': 'b' });
    expect(inherit({ name: 'amd rx 7900' }, known)).toBeUndefined();
  });
});

it('a book ranks what was measured, what ships, and what relatives have', () => {
  const book = new ChoiceBook({ a: 'x' }, { a: 'y', b: 'y' }, { a: 'z', b: 'z', c: 'z' });
  const choose = (key: string): string => book.choose(key, ['first', 'x', 'y', 'z']);
  expect(['a', 'b', 'c', 'd'].map(choose)).toEqual(['x', 'y', 'z', 'first']);
  expect(['a', 'b', 'c', 'd'].map((key) => book.knows(key))).toEqual([true, true, false, false]);
  book.settle('a');
  book.settle('c');
  expect([choose('a'), choose('c'), book.knows('c')]).toEqual(['x', 'z', true]);
  expect(book.measured()).toEqual({ a: 'x', c: 'unmeasured' });
});
