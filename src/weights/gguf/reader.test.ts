import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32 as f32Format } from '../../quant/formats/float.ts';
import { q4_0 } from '../../quant/formats/q4_0.ts';
import { mlxFormat } from '../../quant/formats/words.ts';
import { MemorySink } from '../atomic-file.ts';
import { MemorySource } from '../source.ts';
import { type GgufFile, readGguf } from './reader.ts';
import type { NumericType } from './types.ts';
import { f32, type GgufContent, u32, type WritableValue, writeGguf } from './writer.ts';

const noSibling = (): never => expect.fail('no shard expected');

async function bytesOf(content: GgufContent): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeGguf(sink, content);
  return sink.bytes();
}
const read = (bytes: Uint8Array, name = 'test.gguf'): Promise<GgufFile> =>
  readGguf(new MemorySource(bytes, name), noSibling);

/** A file written by hand, field by field, for what the writer cannot express. */
class Raw {
  readonly bytes: number[] = [];
  u32(value: number): this {
    for (let b = 0; b < 4; b++) this.bytes.push((value >>> (8 * b)) & 255);
    return this;
  }
  u64(value: number | bigint): this {
    for (let b = 0n; b < 8n; b++) this.bytes.push(Number((BigInt(value) >> (8n * b)) & 255n));
    return this;
  }
  text(value: string): this {
    this.u64(Buffer.byteLength(value));
    this.bytes.push(...Buffer.from(value));
    return this;
  }
  header(tensors: number | bigint, pairs: number | bigint, version = 3): this {
    return this.u32(0x46554747).u32(version).u64(tensors).u64(pairs);
  }
  padded(bytes: number): Uint8Array {
    return Uint8Array.from([...this.bytes, ...new Array<number>(bytes).fill(0)]);
  }
}

describe('GGUF round trip', () => {
  it('keeps a byte order mark that a text begins with', async () => {
    const file = new Raw().header(0, 1).text('\ufeffkey').u32(8).text('\ufeffa\ufeff').padded(64);
    expect((await read(file)).metadata.string('\ufeffkey')).toBe('\ufeffa\ufeff');
  });

  it('keeps metadata of every type', async () => {
    const numeric: [NumericType, number | bigint][] = [
      ['uint8', 255],
      ['int8', -3],
      ['uint16', 65535],
      ['int16', -300],
      ['uint32', 2 ** 32 - 1],
      ['int32', -(2 ** 31)],
      ['uint64', 2 ** 53 - 1],
      ['uint64', 2n ** 64n - 1n],
      ['int64', -(2n ** 63n)],
      ['float32', 0.5],
      ['float64', 0.1],
    ];
    const metadata: Record<string, WritableValue> = {
      text: 'päckchen 📦',
      empty: '',
      yes: true,
      no: false,
      strings: ['a', '', 'ü'],
      none: [],
      ints: Int32Array.of(-1, 2),
      words: Uint32Array.of(7, 2 ** 32 - 1),
      floats: Float32Array.of(1.5, -0.25),
    };
    numeric.forEach(([type, value], i) => {
      metadata[`number${i}`] = { type, value };
    });
    const { metadata: found } = await read(await bytesOf({ metadata, tensors: [] }));
    expect(found.keys()).toEqual(Object.keys(metadata));
    numeric.forEach(([, value], i) => {
      expect(found.get(`number${i}`)).toBe(value);
    });
    for (const key of ['text', 'empty', 'yes', 'no', 'strings', 'none', 'ints', 'words', 'floats']) {
      expect(found.get(key)).toEqual(metadata[key]);
    }
    expect(found.get('constructor')).toBeUndefined();
    expect(() => found.integer('text')).toThrow('test.gguf: text: must be a finite number, found päckchen');
    expect(() => found.string('ints')).toThrow('must be a string, found an array of 2');
    expect(() => found.integer('number1')).toThrow('must be an integer of at least 0, found -3');
  });

  it('keeps tensors, whatever their order and size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 30 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        async (names, dims) => {
          const tensors = names.map((name, n) => {
            const shape = [...dims.slice(1), 32 * (dims[0] as number)];
            const format = n % 2 ? q4_0 : f32Format;
            const elements = shape.reduce((a, b) => a * b, 1);
            const bytes = (elements / format.blockElements) * format.blockBytes;
            return { name, shape, format, data: new Uint8Array(bytes).fill(n + 1) };
          });
          const file = await read(await bytesOf({ metadata: {}, tensors }));
          expect([...file.tensors.keys()]).toEqual(names);
          for (const { name, shape, format, data } of tensors) {
            const found = file.tensors.get(name);
            expect(found).toMatchObject({ shape, format, bytes: data.byteLength });
            expect(await found?.source.read(found.offset, found.bytes)).toEqual(data);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('streams tensor data from a callback', async () => {
    const data = function* (): Generator<Uint8Array> {
      for (let i = 0; i < 4; i++) yield new Uint8Array(32).fill(i);
    };
    const file = await read(
      await bytesOf({ metadata: {}, tensors: [{ name: 'w', shape: [32], format: f32Format, data }] }),
    );
    const tensor = file.tensors.get('w');
    expect(await tensor?.source.read(tensor.offset + 32, 1)).toEqual(Uint8Array.of(1));
  });

  it('refuses to write a format GGUF lacks', async () => {
    const tensor = { name: 'w', shape: [1, 32], format: mlxFormat(4, 32, 'f16'), data: new Uint8Array(0) };
    await expect(bytesOf({ metadata: {}, tensors: [tensor] })).rejects.toThrow(
      'GGUF has no type for mlx4/32/f16',
    );
  });

  it('reads version 2 and nested arrays', async () => {
    const raw = new Raw().header(0, 1, 2).text('nested').u32(9).u32(9).u64(2);
    raw.u32(4).u64(2).u32(5).u32(6).u32(8).u64(1).text('x');
    const { metadata, version } = await read(raw.padded(0));
    expect(version).toBe(2);
    expect(metadata.get('nested')).toEqual([Uint32Array.of(5, 6), ['x']]);
  });

  it('honours general.alignment', async () => {
    const raw = new Raw().header(1, 1).text('general.alignment').u32(4).u32(64);
    raw.text('w').u32(1).u64(4).u32(0).u64(64);
    const start = Math.ceil(raw.bytes.length / 64) * 64;
    const file = await read(raw.padded(start + 64 + 16 - raw.bytes.length));
    expect(file.tensors.get('w')?.offset).toBe(start + 64);
  });
});

describe('GGUF shards', () => {
  const shard = (index: number, name: string): Promise<Uint8Array> =>
    bytesOf({
      metadata: { 'split.no': u32(index), 'split.count': u32(2) },
      tensors: [{ name, shape: [2], format: f32Format, data: new Uint8Array(8).fill(index) }],
    });

  it('are one file', async () => {
    const [first, second] = [await shard(0, 'a'), await shard(1, 'b')];
    const source = new MemorySource(first, 'dir/m-00001-of-00002.gguf');
    const file = await readGguf(source, async (name) => {
      expect(name).toBe('m-00002-of-00002.gguf');
      return new MemorySource(second, name);
    });
    expect([...file.tensors.keys()]).toEqual(['a', 'b']);
    expect(file.tensors.get('b')?.source.name).toBe('m-00002-of-00002.gguf');
  });

  it('must be named as shards, start with the first, and not repeat tensors', async () => {
    const first = await shard(0, 'a');
    await expect(read(first, 'model.gguf')).rejects.toThrow('named NAME-00001-of-00002.gguf');
    await expect(read(first, 'm-00002-of-00002.gguf')).rejects.toThrow(
      'open the first shard, m-00001-of-00002.gguf',
    );
    const same = readGguf(
      new MemorySource(first, 'm-00001-of-00002.gguf'),
      async () => new MemorySource(first, 's'),
    );
    await expect(same).rejects.toThrow('s: tensor "a": is there twice');
  });
});

describe('damaged GGUF files', () => {
  const twice = new Raw().header(0, 2).text('k').u32(0);
  twice.bytes.push(1);
  twice.text('k').u32(0);
  twice.bytes.push(1);
  const tensor = (dims: (number | bigint)[], type: number, offset: number | bigint): Raw => {
    const raw = new Raw().header(1, 0).text('w').u32(dims.length);
    for (const dim of dims) raw.u64(dim);
    return raw.u32(type).u64(offset);
  };
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'header: needs 24 bytes but only 0 follow'],
    ['another file', new Uint8Array(64), 'magic: the file does not start with "GGUF"'],
    ['version 1', new Raw().header(0, 0, 1).padded(0), 'GGUF version 1 is not supported'],
    ['big endian', new Raw().header(0, 0, 0x03000000).padded(0), 'a big-endian file?'],
    ['2^63 tensors', new Raw().header(2n ** 63n, 0).padded(0), 'tensor_count: is 9223372036854775808'],
    [
      'too many tensors',
      new Raw().header(1000, 0).padded(100),
      'tensor_count: is 1000, more than the 100 bytes',
    ],
    ['too many pairs', new Raw().header(0, 1e9).padded(100), 'metadata_kv_count: is 1000000000'],
    [
      'an endless key',
      new Raw()
        .header(0, 1)
        .u64(2 ** 40)
        .padded(99),
      'key 0 of 1: is a string of 1099511627776 bytes',
    ],
    [
      'a long string',
      new Raw().header(0, 1).text('k').u32(8).u64(500).padded(9),
      '"k": needs 500 bytes but only 9 follow',
    ],
    [
      'a huge array',
      new Raw().header(0, 1).text('k').u32(9).u32(8).u64(1e12).padded(9),
      'claims 1000000000000 elements of string',
    ],
    ['an unknown value type', new Raw().header(0, 1).text('k').u32(99).padded(9), 'unknown value type 99'],
    [
      'a boolean of 2',
      Uint8Array.from([...new Raw().header(0, 1).text('k').u32(7).bytes, 2]),
      'has the boolean 2',
    ],
    ['a key twice', twice.padded(0), 'metadata key "k": is there twice'],
    ['5 dimensions', tensor([1, 1, 1, 1, 1], 0, 0).padded(99), 'tensor "w": has 5 dimensions'],
    [
      'an overflowing shape',
      tensor([2 ** 40, 2 ** 40], 0, 0).padded(99),
      'impossible shape [1099511627776,1099511627776]',
    ],
    ['an empty shape', tensor([0], 0, 0).padded(99), 'impossible shape [0]'],
    ['an offset outside', tensor([4], 0, 2 ** 50).padded(99), 'but the file has'],
    ['an offset off the alignment', tensor([4], 0, 8).padded(99), 'not a multiple of the alignment 32'],
    ['a truncated tensor', tensor([64], 0, 0).padded(99), 'it is truncated or damaged'],
    ['part of a block', tensor([33], 2, 0).padded(99), '33 columns, not a multiple of the 32'],
    ['Q8_K', tensor([256], 15, 0).padded(999), 'unsupported type Q8_K in tensor "w"'],
    ['an unknown type', tensor([256], 77, 0).padded(999), 'unsupported type number 77 in tensor "w"'],
  ];
  it.each(cases)('%s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(message);
    await expect(read(bytes)).rejects.toThrow('test.gguf: ');
  });

  it('metadata arrays nested without end', async () => {
    const raw = new Raw().header(0, 1).text('k').u32(9);
    for (let i = 0; i < 50; i++) raw.u32(9).u64(1);
    await expect(read(raw.padded(100))).rejects.toThrow('nests arrays more than 4 deep');
  });

  it('an alignment that is none', async () => {
    for (const alignment of [0, 12, 2 ** 31]) {
      const bytes = await bytesOf({ metadata: { 'general.alignment': u32(alignment) }, tensors: [] });
      await expect(read(bytes)).rejects.toThrow('general.alignment');
    }
    await expect(
      read(await bytesOf({ metadata: { 'general.alignment': f32(32.5) }, tensors: [] })),
    ).rejects.toThrow();
  });
});
