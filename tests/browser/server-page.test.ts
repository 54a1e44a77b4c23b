// The chat page as the real server gives it, with its headers, keys and a real (tiny, random) model.

import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import { type RunningServer, startServer } from '../../src/server/server.ts';
import { tinyChatModel } from '../tiny-chat.ts';
import { patient, startBrowser } from './chromium.ts';

const started = await startBrowser();
const reason = typeof started === 'string' ? ` (skipped: ${started})` : '';
const browser = started as Browser;
const device = addonPath() ? 'cpu' : 'js';
const pageFolder = fileURLToPath(new URL('../../web', import.meta.url));

describe.skipIf(typeof started === 'string')(`the page of a real server${reason}`, () => {
  let tiny: { folder: string; path: string };
  let server: RunningServer;
  let context: BrowserContext;
  let page: Page;
  /** What the browser complains of: scripts that fail, and what the security policy refuses. */
  const complaints: string[] = [];
  const foreign: string[] = [];

  const start = async (port = 0): Promise<RunningServer> =>
    startServer({
      configured: [
        { name: 'tiny', path: tiny.path },
        { name: 'same', path: tiny.path },
      ],
      cacheDir: undefined,
      aliases: new Map(),
      load: (path, options) => load(path, { ...options, device, contextLength: 2048 }),
      apiKeys: ['open-sesame'],
      port,
      pageFolder,
    });

  beforeAll(async () => {
    tiny = await tinyChatModel();
    server = await start();
  });
  afterAll(async () => {
    await server.close(0);
    rmSync(tiny.folder, { recursive: true });
  });
  beforeEach(async () => {
    context = patient(await browser.newContext());
    page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // Failed requests are told on the page.
      if (message.type() === 'error' && !/^Failed to load resource/.test(message.text()))
        complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(server.url)) foreign.push(request.url());
    });
    await page.goto(server.url);
  });
  afterEach(async () => {
    await context.close();
    expect(complaints.splice(0)).toEqual([]);
    expect(foreign.splice(0)).toEqual([]);
  });

  const status = () => page.getByRole('status');
  const enterKey = async (): Promise<void> => {
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('API key').fill('open-sesame');
    await page.getByRole('button', { name: 'Done' }).click();
    await page.locator('#model option').first().waitFor({ state: 'attached' });
  };
  const setLongest = async (tokens: number): Promise<void> => {
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('Longest answer').fill(String(tokens));
    await page.getByLabel('Temperature').fill('0');
    await page.getByRole('button', { name: 'Done' }).click();
  };
  const say = async (text: string): Promise<void> => {
    await page.getByLabel('Message', { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };
  const lastAnswer = () => page.locator('#messages .assistant').last();
  const isDone = () => lastAnswer().getByRole('button', { name: 'Regenerate' }).waitFor();
  const active = async (): Promise<number> => {
    const response = await fetch(`${server.url}/metrics`, {
      headers: { authorization: 'Bearer open-sesame' },
    });
    return Number(/^ingot_answers_active (\d+)/m.exec(await response.text())?.[1]);
  };

  it('asks for the key, then offers the models', async () => {
    await status().getByText('an API key is needed').waitFor();
    expect(await status().innerText()).toContain('Put the key into the settings.');
    await enterKey();
    expect(await page.locator('#model option').allInnerTexts()).toEqual(['tiny', 'same']);
    expect(await status().innerText()).toBe('');
  });

  it('answers, and the same again', async () => {
    await enterKey();
    await setLongest(16);
    await say('Hello');
    await isDone();
    const first = await lastAnswer().locator('.body').innerText();
    expect(first).not.toBe('');
    expect(await lastAnswer().locator('.speed').innerText()).toMatch(
      / 16 tokens · cut at the longest answer$/,
    );
    await lastAnswer().getByRole('button', { name: 'Regenerate' }).click();
    await isDone();
    expect(await lastAnswer().locator('.body').innerText()).toBe(first);
    await say('And then?');
    await expect.poll(() => page.locator('#messages > li').count()).toBe(4);
    await isDone();
  });

  it('stops, and so does the server', async () => {
    await enterKey();
    await setLongest(1900);
    await say('Go on');
    await expect.poll(() => lastAnswer().locator('.body').innerText()).not.toBe('');
    expect(await active()).toBe(1);
    await page.getByRole('button', { name: 'Stop' }).click();
    await isDone();
    expect(await lastAnswer().locator('.speed').innerText()).toContain('stopped');
    await expect.poll(active).toBe(0);
  });

  it('says what the model cannot do', async () => {
    await enterKey();
    await say('x'.repeat(3000));
    await lastAnswer().locator('.error').waitFor();
    expect(await lastAnswer().locator('.error').innerText()).toContain('2048');
  });

  it('says when the server goes away, and goes on when it is back', async () => {
    await enterKey();
    await setLongest(1900);
    await say('Go on');
    await expect.poll(() => lastAnswer().locator('.body').innerText()).not.toBe('');
    const { port } = server;
    await server.close(0);
    await lastAnswer().locator('.error').waitFor();
    await lastAnswer().getByRole('button', { name: 'Regenerate' }).click();
    await lastAnswer().getByText('The server cannot be reached.').waitFor();
    server = await start(port);
    await setLongest(4);
    await lastAnswer().getByRole('button', { name: 'Regenerate' }).click();
    await expect.poll(() => lastAnswer().locator('.speed').innerText()).toContain('4 tokens');
    await isDone();
  });

  it('lets nothing into the page but its own files', async () => {
    const tried = await page.evaluate(`(async () => {
      const violated = new Set();
      document.addEventListener('securitypolicyviolation', (e) => violated.add(e.effectiveDirective));
      const inline = document.createElement('script');
      inline.textContent = 'globalThis.inserted = true';
      document.body.append(inline);
      document.body.insertAdjacentHTML('beforeend', '<p style="color: red">x</p><img src="http://far.test/x.png">');
      const reached = await fetch('http://far.test/').then(() => true, () => false);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { inserted: 'inserted' in globalThis, reached, violated: [...violated].sort() };
    })()`);
    expect(tried).toEqual({
      inserted: false,
      reached: false,
      violated: ['connect-src', 'img-src', 'script-src-elem', 'style-src-attr'],
    });
    expect(complaints.splice(0).every((text) => text.includes('Content Security Policy'))).toBe(true);
    foreign.length = 0; // the image was asked for and refused
  });
});

afterAll(async () => {
  if (typeof started !== 'string') await started.close();
});
