import { expect, test } from 'vitest';
import { formatBytes, formatDuration } from './text.ts';

test('bytes have three digits and a unit', () => {
  expect([0, 1, 999, 1000, 98_362_432, 999_499, 999_500, 1.5e12, 3e15].map(formatBytes)).toEqual([
    '0 bytes',
    '1 bytes',
    '999 bytes',
    '1 kB',
    '98.4 MB',
    '999 kB',
    '1 MB',
    '1.5 TB',
    '3000 TB',
  ]);
  expect(formatBytes(Number.POSITIVE_INFINITY)).toBe('unknown size');
});

test('durations name at most two units', () => {
  expect([0, 59.4, 60, 200, 3599, 7500].map(formatDuration)).toEqual([
    '0 s',
    '59 s',
    '1 min 00 s',
    '3 min 20 s',
    '59 min 59 s',
    '2 h 05 min',
  ]);
});
