import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Site } from '../../tests/browser/site.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readVector } from './chunks.ts';
import { modelName, openModel } from './open-web.ts';
import { tinyCheckpoint, tinyGgufBytes } from './tiny.ts';
import { openUrl } from './url-source.ts';

const type = 'application/octet-stream';
const name = 'model.norm.weight';
const norm = async (opened: Checkpoint): Promise<Float32Array> => {
  const checkpoint = await modelCheckpoint(opened);
  const values = await readVector(checkpoint.describe(name));
  await checkpoint.close();
  return values;
};

let site: Site;
let url: string;
let gguf: Uint8Array;
let expected: Float32Array;
let safetensors: Uint8Array;
const config = '{"model_type":"llama"}';

beforeAll(async () => {
  gguf = await tinyGgufBytes();
  expected = await norm(await tinyCheckpoint());
  const header = JSON.stringify({ [name]: { dtype: 'F32', shape: [256], data_offsets: [0, 1024] } });
  safetensors = new Uint8Array(8 + header.length + 1024);
  safetensors[0] = header.length;
  safetensors.set(new TextEncoder().encode(header), 8);
  safetensors.set(new Uint8Array(expected.slice().buffer), 8 + header.length);
  const large = Uint8Array.from({ length: 20 * 2 ** 20 }, (_, i) => (i * 2654435761) >>> 24);
  site = new Site({
    '/m.gguf': { type, bytes: gguf },
    '/whole.gguf': { type, bytes: gguf, noRanges: true },
    '/page.gguf': { type: 'text/html', bytes: '<p>a page instead</p>' },
    '/empty.gguf': { type, bytes: '' },
    '/large.bin': { type, bytes: large },
    '/folder/config.json': { type, bytes: config },
    '/folder/model.safetensors': { type, bytes: safetensors },
  });
  url = await site.start();
});
afterAll(() => site.stop());

describe('openModel', () => {
  it('opens GGUF files from ranges, a whole download, a file and bytes', async () => {
    const downloads: number[] = [];
    const onDownload = (progress: { bytesDone: number; bytesTotal: number }): number =>
      downloads.push(progress.bytesDone / progress.bytesTotal);
    expect(await norm(await openModel(`${url}m.gguf?token=secret`, { onDownload }))).toEqual(expected);
    expect(downloads).toEqual([]);
    expect(await norm(await openModel(new URL(`${url}whole.gguf`), { onDownload }))).toEqual(expected);
    expect(downloads.at(-1)).toBe(1);
    const blob = new Blob([new Uint8Array(gguf)]);
    for (const source of [blob, [blob], gguf, new Uint8Array(gguf).buffer])
      expect(await norm(await openModel(source, {}))).toEqual(expected);
  });

  it('opens folders of safetensors by address, and files that were chosen', async () => {
    const files = [
      new File([config], 'config.json'),
      new File([new Uint8Array(safetensors)], 'model.safetensors'),
    ];
    for (const source of [`${url}folder/`, `${url}folder/model.safetensors`, files]) {
      const checkpoint = await openModel(source, {});
      expect(checkpoint.kind).toBe('safetensors');
      expect(await checkpoint.readFile('tokenizer.json')).toBeUndefined();
      expect(await norm(checkpoint)).toEqual(expected);
    }
  });

  it('says what it found instead, without what an address may keep secret', async () => {
    const missing = `${url}none.gguf: there is no such file`;
    await expect(openModel(`${url}none.gguf?token=secret`, {})).rejects.toThrow(missing);
    await expect(openModel(`${url}page.gguf`, {})).rejects.toMatchObject({ code: 'not_found' });
    await expect(openModel(`${url}empty.gguf`, {})).rejects.toMatchObject({ code: 'bad_file' });
    await expect(openModel(`${url}none/`, {})).rejects.toThrow('has no config.json');
    await expect(openModel('no address', {})).rejects.toThrow("'no address' is not an address of a model");
    const part = new File([new Uint8Array(safetensors)], 'model.safetensors');
    await expect(openModel(part, {})).rejects.toThrow('the chosen files: has no config.json');
    await expect(openModel('http://127.0.0.1:1/m.gguf', {})).rejects.toMatchObject({
      code: 'download_failed',
    });
    const reason = new Error('enough');
    await expect(openModel(`${url}m.gguf`, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('names models', () => {
    expect(modelName('https://host/a/b/model.gguf?x=1')).toBe('model.gguf');
    expect(modelName('https://host/user/repo/')).toBe('repo');
    expect(modelName(new File([], 'f.gguf'))).toBe('f.gguf');
    const shards = ['b-00002-of-00002.gguf', 'b-00001-of-00002.gguf'].map((n) => new File([], n));
    expect(modelName(shards)).toBe('b-00001-of-00002.gguf');
    expect(modelName(new Uint8Array(1))).toBe('model');
  });
});

describe('openUrl', () => {
  it('fetches each block once, ahead of its use, and gives the right bytes', async () => {
    const source = await openUrl(new URL(`${url}large.bin`), {});
    const before = site.requests.length;
    const byteAt = (i: number): number => ((i * 2654435761) >>> 24) & 255;
    for (let at = 0; at < 20 * 2 ** 20; at += 3 * 2 ** 20) {
      const bytes = await source?.read(at, Math.min(3 * 2 ** 20, 20 * 2 ** 20 - at));
      expect([bytes?.[0], bytes?.at(-1)]).toEqual([byteAt(at), byteAt(at + (bytes?.length ?? 0) - 1)]);
    }
    expect(site.requests.slice(before).sort()).toEqual([
      '/large.bin bytes=16777216-20971519',
      '/large.bin bytes=8388608-16777215',
    ]);
    await source?.close();
  });

  it('does not take a part for what was asked for', async () => {
    vi.spyOn(globalThis, 'fetch').mockResolvedValueOnce(
      new Response('abc', { status: 206, headers: { 'content-range': 'bytes 0-2/100' } }),
    );
    await expect(openUrl(new URL(`${url}large.bin`), {})).rejects.toThrow('3 bytes came instead of a range');
  });

  it('tells when the file changes under it', async () => {
    const source = await openUrl(new URL(`${url}large.bin`), {});
    site.files.set('/large.bin', { type, bytes: new Uint8Array(2 ** 20) });
    await expect(source?.read(9 * 2 ** 20, 10)).rejects.toThrow('the file has changed, load it again');
  });
});
