import { inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { IngotError } from '../base/errors.ts';
import { findMember, type ReadRange } from './zip.ts';

const reader =
  (file: Uint8Array): ReadRange =>
  async (start, length) => {
    if (start < 0 || start + length > file.length)
      throw new RangeError(`read of ${length} at ${start} in ${file.length}`);
    return Buffer.from(file.buffer, file.byteOffset + start, length);
  };

async function extract(file: Uint8Array, name: string): Promise<Uint8Array> {
  const member = await findMember(reader(file), file.length, name, 'test.zip');
  const data = file.subarray(member.dataStart, member.dataStart + member.compressedBytes);
  const bytes = member.method === 'stored' ? data : inflateRawSync(data);
  expect(bytes.length).toBe(member.bytes);
  return new Uint8Array(bytes);
}

const name = fc.stringMatching(/^[a-z]{1,8}(\/[a-zé]{1,8})?$/);
const archive = fc.dictionary(name, fc.uint8Array({ maxLength: 2000 }), {
  minKeys: 1,
  maxKeys: 6,
  noNullPrototype: true,
});

describe('findMember', () => {
  test('finds every member of any archive', async () => {
    await fc.assert(
      fc.asyncProperty(
        archive,
        fc.integer({ min: 0, max: 9 }),
        fc.string({ maxLength: 50 }),
        async (files, level, comment) => {
          const zip = zipSync(files, { level: level as 0, comment });
          for (const [each, content] of Object.entries(files))
            expect(await extract(zip, each)).toEqual(content);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a missing member is named', async () => {
    const zip = zipSync({ a: new Uint8Array(3) });
    await expect(extract(zip, 'b')).rejects.toMatchObject({
      code: 'not_found',
      message: 'test.zip has no member b',
    });
  });

  test('what is no zip says so', async () => {
    for (const length of [0, 10, 5000]) {
      await expect(extract(new Uint8Array(length), 'a')).rejects.toThrow(
        /end of central directory: is missing/,
      );
    }
  });

  test('damaged archives give an error with a code, never a crash or a read outside the file', async () => {
    const zip = zipSync({ one: new Uint8Array(500).fill(7), two: new Uint8Array(40) }, { level: 0 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(zip.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(zip.length),
        async (changes, length) => {
          const bad = zip.slice(0, Math.max(1, length));
          for (const [at, value] of changes) if (at < bad.length) bad[at] = value;
          try {
            const member = await findMember(reader(bad), bad.length, 'one', 'test.zip');
            expect(member.dataStart + member.compressedBytes).toBeLessThanOrEqual(bad.length);
          } catch (error) {
            expect(error).toBeInstanceOf(IngotError);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
