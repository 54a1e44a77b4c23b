// tools/gen-signatures.mjs: what it makes of the signatures is what the code has.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { kernelCodes, kernelSignatures } from '../../src/kernel/signatures.ts';

interface Tables {
  readonly codes: object;
  readonly signatures: object;
}
interface Tool {
  readonly docsPath: string;
  readTables(): Tables;
  headers(tables: Tables): readonly (readonly [name: string, text: string])[];
  markdownTable(tables: Tables): string;
  withTable(page: string, table: string): string;
}
const url = new URL('../../tools/gen-signatures.mjs', import.meta.url).href;
const { docsPath, headers, markdownTable, readTables, withTable } = (await import(url)) as Tool;

describe('generated from signatures', () => {
  it('the tables are read as the code has them', () => {
    expect(readTables()).toEqual({ codes: kernelCodes, signatures: kernelSignatures });
  });

  it('docs/cpu-kernels.md is current; `node tools/gen-signatures.mjs docs` makes it so', () => {
    const page = readFileSync(docsPath, 'utf8');
    expect(withTable(page, markdownTable(readTables()))).toBe(page);
  });

  it('a header has an accessor for every name, at its place', () => {
    const all = new Map(headers(readTables()));
    const text = all.get('linear.h');
    for (const line of [
      'int64_t K() const { return int_at(1); }',
      'const float* norm_weight() const { return data_or_null<const float>(1); }',
      'Segment segments(int64_t k) const { return {args, 7 + k * 4, 3 + k * 3}; }',
      'float* y() const { return data_or_null<float>(buf + 2); }',
    ]) {
      expect(text).toContain(line);
    }
    expect(all.get('attention.h')).toContain('"attention: expected 8 buffers and 13 parameters"');
    expect(all.get('codes.h')).toContain('enum GluCode : int { kNoGlu, kSilu, kGeluTanh, kGeluErf, kGlus };');
    expect(all.get('kv_rows_code.h')).toContain('enum KvRowsCode : int { rF32, rF16, rQ8, rQ4, ');
    expect(all.get('paged.h')).toContain(`{"attention", 3, 6, 7, 0, 4, 10, 11, false},`);
    expect([...all.keys()]).toHaveLength(Object.keys(kernelSignatures).length + 4);
  });

  it('a list that nothing counts is refused', () => {
    const { codes } = readTables();
    const signatures = { odd: { buffers: {}, params: { n: 'int', pieces: { size: 'int' } }, notes: '' } };
    expect(() => headers({ codes, signatures })).toThrow(/nothing counts pieces/);
  });
});
