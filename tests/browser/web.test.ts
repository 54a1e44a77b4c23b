// `ingot/web` in a headless Chromium with a software GPU: the same tokens as in Node, arrays, and errors that say what to do.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load as loadInNode } from '../../src/engine/load.ts';
import type * as Web from '../../src/web/index.ts';
import { readGolden } from '../models/goldens.ts';
import { tinyChatModel } from '../tiny-chat.ts';
import { patient, startBrowser, withWebGpu } from './chromium.ts';
import { Site, type SiteFile } from './site.ts';
import { buildWeb } from './web-build.ts';

const built = await buildWeb();
const code = built.get('index.js') ?? '';
const used = variables(code);

describe('the browser build', () => {
  it('is one file that imports nothing', () => {
    expect([...built.keys()]).toEqual(['index.js']);
    const { importedFiles } = ts.preProcessFile(code, true, true);
    expect(importedFiles.map((file) => file.fileName)).toEqual([]);
  });

  it.each(['process', 'Buffer', 'require', '__dirname', '__filename'])('does not use %s', (name) => {
    expect(variables(`const a = { x: () => ${name}.b }`)).toContain(name);
    expect(variables(`const a = { ${name}: 1 }; a.${name};`)).not.toContain(name);
    expect(used).not.toContain(name);
  });
});

const started = await startBrowser(withWebGpu);
const reason = typeof started === 'string' ? ` (skipped: ${started})` : '';
const browser = started as Browser;
/** A second one as it starts without arguments: without WebGPU, and with a host that is not this machine. */
const bareStarted = await startBrowser(['--host-resolver-rules=MAP far.test 127.0.0.1']);
const bare = bareStarted as Browser;

/** What pages call; `import('/ingot.js')` would be resolved by the test's own loader. */
const start = 'globalThis.ingot = import("/ingot.js")';
declare const ingot: Promise<typeof Web>;

describe.skipIf(typeof started === 'string' || typeof bareStarted === 'string')(`ingot/web${reason}`, () => {
  const golden = readGolden('llama3-gqa');
  const goldenFolder = fileURLToPath(new URL('../goldens/models/llama3-gqa/', import.meta.url));
  let tiny: { folder: string; path: string };
  let answer: string;
  let site: Site;
  let url: string;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    tiny = await tinyChatModel();
    using model = await loadInNode(tiny.path, { device: addonPath() ? 'cpu' : 'js', precision: 'exact' });
    answer = await textOf(
      model.chat([{ role: 'user', content: 'Hello' }], { maxTokens: 12, ignoreEos: true, temperature: 0 }),
    );
    const files: Record<string, SiteFile> = {
      '/': { type: 'text/html', bytes: '<!doctype html><title>test</title>' },
      '/ingot.js': { type: 'text/javascript', bytes: code },
      '/dist/web/index.js': { type: 'text/javascript', bytes: code },
      '/tiny.gguf': { type: 'application/octet-stream', bytes: readFileSync(tiny.path) },
      '/odd.gguf': { type: 'application/octet-stream', bytes: 'not a model' },
    };
    for (const name of readdirSync(goldenFolder)) {
      const bytes = readFileSync(`${goldenFolder}${name}`);
      files[`/golden/${name}`] = { type: 'application/octet-stream', bytes };
    }
    for (const [name, type] of [
      ['', 'text/html'],
      ['chat.js', 'text/javascript'],
    ] as const) {
      const bytes = readFileSync(`examples/web/${name || 'index.html'}`);
      files[`/examples/web/${name}`] = { type, bytes };
    }
    site = new Site(files);
    url = await site.start();
  });
  afterAll(async () => {
    rmSync(tiny.folder, { recursive: true });
    await site.stop();
  });
  beforeEach(async () => {
    page = patient(await browser.newPage());
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(url);
    await page.evaluate(start);
  });
  afterEach(async () => {
    await page.close();
    expect(errors.splice(0)).toEqual([]);
  });

  // The software GPU compiles the kernels of a step for half a minute.
  const slow = 300_000;

  it('generates the tokens of the reference from a folder of safetensors', { timeout: slow }, async () => {
    const { tokens, info } = await page.evaluate(
      async ({ prompt, maxTokens }) => {
        const { load } = await ingot;
        const model = await load('/golden/', { precision: 'exact', contextLength: 128 });
        const tokens: number[] = [];
        for await (const token of model.generate(prompt, { maxTokens, ignoreEos: true, temperature: 0 }))
          tokens.push(token);
        const { info } = model;
        model.dispose();
        return { tokens, info };
      },
      { prompt: golden.tokens, maxTokens: golden.continuation.length },
    );
    expect(tokens).toEqual(golden.continuation);
    expect(info).toMatchObject({ name: 'golden', family: 'llama', format: 'safetensors bf16' });
  });

  it('answers as it does in Node', { timeout: slow }, async () => {
    const result = await page.evaluate(async () => {
      const { load } = await ingot;
      const progress: number[] = [];
      const model = await load('tiny.gguf', {
        precision: 'exact',
        onProgress: ({ bytesDone, bytesTotal }) => progress.push(bytesDone / bytesTotal),
      });
      const messages = [{ role: 'user', content: 'Hello' }] as const;
      let text = '';
      for await (const piece of model.chat(messages, { maxTokens: 12, ignoreEos: true, temperature: 0 }))
        text += piece;
      return { name: model.info.name, text, done: progress.at(-1) };
    });
    expect(result).toEqual({ name: 'tiny.gguf', text: answer, done: 1 });
    expect(site.requests).toContain('/tiny.gguf bytes=0-8388607');
  });

  it('computes with arrays, in a page and in a worker', async () => {
    const compute = `async ({ openDevice, setDefaultDevice, fromData, matmul, softmax, compile }) => {
      const device = await openDevice();
      setDefaultDevice(device);
      const x = fromData([1, 2, 3, 4], [2, 2]);
      const eager = [...await x.matmul(x).add(1).data()];
      const plan = compile(({ a }) => [softmax(matmul(a, a))], { device, inputs: { a: { shape: [2, 2], dtype: 'f32' } } });
      const [out] = await plan.run({ inputs: { a: new Float32Array([0, 1, 1, 0]) } });
      return { eager, compiled: [...await out.data()].map((x) => x.toFixed(3)), name: device.name };
    }`;
    const inPage = await page.evaluate(`ingot.then(${compute})`);
    const inWorker = await page.evaluate(`new Promise((resolve, reject) => {
      const text = 'import * as ingot from "${url}ingot.js"; (' + ${JSON.stringify(compute)} + ')(ingot).then(postMessage)';
      const worker = new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })), { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
    })`);
    // softmax of the rows of the identity, which is the square of that matrix
    const compiled = ['0.731', '0.269', '0.269', '0.731'];
    const expected = { eager: [8, 11, 16, 23], compiled, name: 'webgpu' };
    expect([inPage, inWorker]).toEqual([expected, expected]);
  });

  it('keeps what was tuned for the next device', async () => {
    const found = await page.evaluate(`ingot.then(async ({ openDevice }) => {
      const place = (await openDevice()).keepChoices({ 'linear 1': 'second' });
      return { place, chosen: (await openDevice()).choices.choose('linear 1', ['first', 'second']) };
    })`);
    expect(found).toEqual({ place: "localStorage['ingot/gpu/google swiftshader']", chosen: 'second' });
  });

  const failure = (on: Page, source: string): Promise<unknown> =>
    on.evaluate(
      (from) =>
        ingot.then(({ load, IngotError }) =>
          load(from).then(
            () => 'loaded',
            (e) => (e instanceof IngotError ? `${e.code}: ${e.message}` : String(e)),
          ),
        ),
      source,
    );

  it('says what is wrong with a source, and frees the GPU', async () => {
    await page.evaluate(`{
      const { destroy } = GPUDevice.prototype;
      globalThis.freed = 0;
      GPUDevice.prototype.destroy = function () { freed++; destroy.call(this); };
    }`);
    expect(await failure(page, '/none.gguf')).toBe(
      `not_found: ${url}none.gguf: there is no such file; give the address of a GGUF file, or of a folder that ends in /`,
    );
    expect(await failure(page, '/none/')).toBe(
      `not_found: ${url}none: has no config.json, which says what the model is`,
    );
    expect(await failure(page, '/odd.gguf')).toContain('is not a GGUF, safetensors or packed model file');
    expect(await page.evaluate('freed')).toBe(3);
  });

  it('says what to do without a GPU that will do', async () => {
    const without = patient(await bare.newPage());
    const open = async (address: string): Promise<unknown> => {
      await without.goto(address);
      await without.evaluate(start);
      return failure(without, '/tiny.gguf');
    };
    await without.addInitScript('delete Navigator.prototype.gpu');
    expect(await open(url)).toBe(
      'unsupported: this browser has no WebGPU: use a recent Chrome, Edge, Firefox or Safari, or switch WebGPU on in its settings',
    );
    expect(await open(url.replace('127.0.0.1', 'far.test'))).toBe(
      'unsupported: browsers give WebGPU only to pages from https:// or http://localhost: serve this page from there',
    );
    await without.close();
    await page.evaluate('navigator.gpu.requestAdapter = async () => null');
    expect(await failure(page, '/tiny.gguf')).toBe(
      'unsupported: the browser offers no GPU: switch hardware acceleration on in its settings, or update the graphics driver',
    );
    await page.evaluate(`navigator.gpu.requestAdapter = async () => ({
      limits: { maxStorageBuffersPerShaderStage: 4, maxComputeInvocationsPerWorkgroup: 256 },
      info: { vendor: 'small', architecture: '', device: 'gpu', description: '' },
    })`);
    expect(await failure(page, '/tiny.gguf')).toBe(
      'unsupported: the GPU small gpu has maxStorageBuffersPerShaderStage 4, and 8 are needed: use another browser or computer',
    );
  });

  it('chats on the example page', { timeout: slow }, async () => {
    await page.goto(`${url}examples/web/`);
    await page.getByLabel('Model').setInputFiles(tiny.path);
    await page.getByText('llama, gguf q4_0').waitFor();
    await page.getByLabel('Message').fill('Hello');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/^\d+ tokens, /).waitFor();
    expect(await page.locator('.assistant').textContent()).not.toBe('');
  });
});

const textOf = async (stream: AsyncIterable<string>): Promise<string> => {
  let text = '';
  for await (const piece of stream) text += piece;
  return text;
};

afterAll(async () => {
  for (const each of [started, bareStarted]) if (typeof each !== 'string') await each.close();
});

/** Names of variables that a script uses; a name that is only a property of something is none. */
function variables(text: string): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const { parent } = node;
    if (
      ts.isIdentifier(node) &&
      !(ts.isPropertyAccessExpression(parent) && parent.name === node) &&
      !(ts.isPropertyAssignment(parent) && parent.name === node) &&
      !ts.isMethodDeclaration(parent)
    )
      names.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('x.js', text, ts.ScriptTarget.Latest, true));
  return names;
}
