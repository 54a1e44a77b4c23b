import { describe, expect, it } from 'vitest';
import { codeOf } from '../kernel/signature.ts';
import {
  affineLayout,
  checkLayout,
  codesBytes,
  layoutCode,
  layoutOf,
  metaDtypeCode,
  metaRecord,
  packedBytes,
  panelBytes,
  type WeightLayout,
} from './layout.ts';

describe('layout sizes', () => {
  // Bytes of a panel of 256 columns, written out from the tables of docs/layouts.md.
  const cases: [WeightLayout, number, number][] = [
    [layoutOf('f32'), 0, 256 * 64],
    [layoutOf('f16'), 1, 256 * 32],
    [layoutOf('bf16'), 2, 256 * 32],
    [layoutOf('q4'), 3, 8 * 256 + 8 * 32],
    [affineLayout(4, 64, 'bf16'), 4, 8 * 256 + 4 * 64],
    [affineLayout(4, 32, 'f32'), 4, 8 * 256 + 8 * 128],
    [layoutOf('q8'), 5, 8 * 512 + 8 * 32],
    [affineLayout(8, 128, 'f16'), 6, 8 * 512 + 2 * 64],
    [layoutOf('q4k'), 7, 8 * 256 + 320],
    [layoutOf('q6k'), 8, 8 * 384 + 320], // 288 bytes of meta, padded
  ];
  it.each(cases)('%j', (layout, code, bytes) => {
    expect(layoutCode(layout)).toBe(code);
    expect(panelBytes(layout, 256)).toBe(bytes);
    expect(packedBytes(layout, 17, 256)).toBe(2 * bytes);
    expect(panelBytes(layout, 256)).toBeGreaterThanOrEqual(
      codesBytes(layout, 256) + metaRecord(layout).bytes,
    );
  });

  it('pads short panels', () => {
    expect(panelBytes(layoutOf('q4'), 32)).toBe(320);
    expect(panelBytes(layoutOf('f16'), 3)).toBe(128);
    expect(panelBytes(layoutOf('bf16'), 3)).toBe(128);
  });

  it('uses the device codes for scale types', () => {
    for (const meta of ['f32', 'f16', 'bf16'] as const) {
      expect(metaDtypeCode(affineLayout(4, 32, meta))).toBe(codeOf('dtype', meta));
    }
  });

  it('says what is wrong', () => {
    expect(() => panelBytes(layoutOf('q4'), 48)).toThrow(
      'layout q4: K = 48 must be a positive multiple of 32',
    );
    expect(() => panelBytes(layoutOf('q6k'), 128)).toThrow('multiple of 256');
    expect(() => panelBytes(affineLayout(4, 64, 'f16'), 96)).toThrow('layout q4a/64/f16: K = 96');
    expect(() => packedBytes(layoutOf('f32'), 2 ** 40, 2 ** 20)).toThrow('more bytes than can be addressed');
    expect(() => packedBytes(layoutOf('f32'), 1.5, 32)).toThrow('N = 1.5');
    expect(() => affineLayout(4, 48, 'f16')).toThrow('group must be one of 32, 64, 128');
    expect(() => checkLayout({ kind: 'q4', group: 64, metaDtype: 'f16' })).toThrow('group must be 32');
  });
});
