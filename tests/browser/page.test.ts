// The chat page in a headless Chromium, on a desktop and on a phone, against a scripted server.

import { mkdirSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patient, startBrowser } from './chromium.ts';
import { inPieces, ScriptedServer } from './scripted-server.ts';

const started = await startBrowser();
const reason = typeof started === 'string' ? ` (skipped: ${started})` : '';
const browser = started as Browser;
/** Where to put pictures of the page; none are taken when it is not set. */
const pictures = process.env.INGOT_TEST_PICTURES;

const sizes = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
} as const;

const answerText = `## Why it is blue

Sunlight is **all colours at once**. Air scatters *blue* light most, about \`1/λ⁴\`:

| colour | wavelength |
|---|---|
| blue | 450 nm |
| red | 700 nm |

1. Light comes in.
2. It meets molecules.
   - tiny ones

\`\`\`ts
const ratio = (700 / 450) ** 4; // <b>not bold</b>
\`\`\`

> More at [the encyclopedia](https://example.org/sky), not at [this](javascript:alert(1)).`;

describe.skipIf(typeof started === 'string').each(Object.keys(sizes) as (keyof typeof sizes)[])(
  `the page on a %s${reason}`,
  (size) => {
    let server: ScriptedServer;
    let context: BrowserContext;
    let page: Page;
    let url: string;
    const errors: string[] = [];

    beforeAll(async () => {
      server = new ScriptedServer();
      url = await server.start();
    });
    afterAll(async () => {
      await server.stop();
    });
    beforeEach(async () => {
      context = patient(await browser.newContext(sizes[size]));
      page = await context.newPage();
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          errors.push(message.text());
      });
      await page.goto(url);
      server.answer = { pieces: inPieces('Hello!') };
    });
    afterEach(async () => {
      await context.close();
      expect(errors.splice(0)).toEqual([]);
    });

    const say = async (text: string): Promise<void> => {
      await page.getByLabel('Message', { exact: true }).fill(text);
      await page.getByRole('button', { name: 'Send' }).click();
    };
    const lastAnswer = () => page.locator('#messages .assistant').last();
    const isDone = () => lastAnswer().getByRole('button', { name: 'Regenerate' }).waitFor();
    const picture = async (name: string): Promise<void> => {
      if (pictures === undefined) return;
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: `${pictures}/${size}-${name}.png` });
    };

    it('offers the models and asks the one that is chosen', async () => {
      await page.getByLabel('Model', { exact: true }).selectOption('large-model');
      await picture('welcome');
      await say('Hi');
      await isDone();
      expect(await lastAnswer().locator('.body').innerText()).toBe('Hello!');
      expect(server.requests.at(-1)?.body).toMatchObject({
        model: 'large-model',
        stream: true,
        messages: [{ role: 'user', content: 'Hi' }],
      });
      await page.reload();
      expect(await page.getByLabel('Model', { exact: true }).inputValue()).toBe('large-model');
    });

    it('draws markdown, and nothing of it as HTML', async () => {
      server.answer = {
        pieces: inPieces(`${answerText}\n\n<img src=x onerror="alert(1)"><script>alert(2)</script>`),
      };
      await say('Why is the sky blue?');
      await isDone();
      const body = lastAnswer().locator('.body');
      expect(await body.locator('h2').innerText()).toBe('Why it is blue');
      expect(await body.locator('strong').innerText()).toBe('all colours at once');
      expect(await body.locator('td').allInnerTexts()).toEqual(['blue', '450 nm', 'red', '700 nm']);
      expect(await body.locator('ol > li').count()).toBe(2);
      expect(await body.locator('ol ul li').innerText()).toBe('tiny ones');
      expect(await body.locator('pre').innerText()).toContain('<b>not bold</b>');
      expect(
        await body.locator('a').evaluateAll((links) => links.map((a) => a.getAttribute('href'))),
      ).toEqual(['https://example.org/sky']);
      expect(await body.locator('img, script, b').count()).toBe(0);
      expect(await body.innerText()).toContain('<img src=x onerror="alert(1)">');
      await page.locator('#scroller').evaluate((e) => e.scrollTo(0, 0));
      await picture('answer');
    });

    it('shows thoughts, speed and the number of tokens', async () => {
      server.answer = {
        pieces: [{ reasoning_content: 'Let me ' }, { reasoning_content: 'think.' }, { content: 'Yes.' }],
        // A busy page may get all pieces at once, and then knows no speed.
        last: () => lastAnswer().getByText('Let me think.').waitFor(),
      };
      await say('Well?');
      await isDone();
      expect(await lastAnswer().locator('summary').innerText()).toBe('Thoughts');
      expect(await lastAnswer().locator('details div').textContent()).toBe('Let me think.');
      expect(await lastAnswer().locator('.speed').innerText()).toMatch(/^[\d.]+ tokens\/s · 3 tokens$/);
    });

    it('shows what experts did that are read from disk', async () => {
      server.answer = {
        pieces: inPieces('Yes.'),
        experts: {
          hit_rate: 0.814,
          bytes_read: 1.23e9,
          ceiling: 5.12,
          share_of_ceiling: 0.88,
          substituted_share: 0.042,
        },
      };
      await say('Where are they?');
      await isDone();
      expect(await lastAnswer().locator('.speed').innerText()).toContain(
        '81 % of experts in memory · 1.2 GB read · 88 % of the 5.12 tokens/s that the disk allows · 4.2 % of choices gave way',
      );
    });

    it('stops, keeps what has come, and answers again', async () => {
      server.answer = { pieces: inPieces('An endless'), hold: true };
      const before = server.aborted;
      await say('Go on');
      await lastAnswer().getByText('An endless').waitFor();
      await page.getByRole('button', { name: 'Stop' }).click();
      await isDone();
      await expect.poll(() => server.aborted).toBe(before + 1);
      expect(await lastAnswer().locator('.speed').innerText()).toContain('stopped');
      server.answer = { pieces: inPieces('Another one') };
      await lastAnswer().getByRole('button', { name: 'Regenerate' }).click();
      await lastAnswer().getByText('Another one').waitFor();
      await isDone();
      expect(await page.locator('#messages > li').count()).toBe(2);
      expect(server.requests.at(-1)?.body.messages).toEqual([{ role: 'user', content: 'Go on' }]);
    });

    it('keeps the conversation and the settings', async () => {
      await page.getByRole('button', { name: 'Settings' }).click();
      await page.getByLabel('System prompt').fill('Be brief.');
      await page.getByLabel('Temperature').fill('0.5');
      await page.getByLabel('Longest answer').fill('20');
      await page.getByLabel('Thinking').selectOption('Off');
      await page.getByLabel('Colours').selectOption('Dark');
      await page.getByLabel('API key').fill('secret');
      await picture('settings');
      await page.getByRole('button', { name: 'Done' }).click();
      server.answer = { pieces: inPieces('First.'), end: 'length' };
      await say('One');
      await isDone();
      expect(await lastAnswer().locator('.speed').innerText()).toContain('cut at the longest answer');
      await page.reload();
      await say('Two');
      await expect.poll(() => page.locator('#messages > li').count()).toBe(4);
      await isDone();
      expect(server.requests.at(-1)).toMatchObject({
        authorization: 'Bearer secret',
        body: {
          temperature: 0.5,
          max_tokens: 20,
          chat_template_kwargs: { enable_thinking: false },
          messages: [
            { role: 'system', content: 'Be brief.' },
            { role: 'user', content: 'One' },
            { role: 'assistant', content: 'First.' },
            { role: 'user', content: 'Two' },
          ],
        },
      });
      await picture('dark');
      await page.getByRole('button', { name: 'New chat' }).click();
      await page.getByText('What is on your mind?').waitFor();
      await page.reload();
      expect(await page.locator('#messages > li').count()).toBe(0);
    });

    it('says what went wrong, and can go on', async () => {
      server.failure = { status: 400, message: 'the prompt has 9000 tokens and the context holds 2048' };
      await say('Too long');
      await lastAnswer().getByText('the prompt has 9000 tokens').waitFor();
      await lastAnswer().getByRole('button', { name: 'Regenerate' }).click();
      await lastAnswer().getByText('Hello!').waitFor();
    });

    it('says when an answer breaks off', async () => {
      server.answer = { pieces: inPieces('Half of'), hold: true };
      await say('Go on');
      await lastAnswer().getByText('Half of').waitFor();
      server.cut();
      await lastAnswer().getByText('The answer broke off.').waitFor();
      expect(await lastAnswer().locator('.body').innerText()).toBe('Half of');
    });

    it('works by keyboard, with a name on every control', async () => {
      await page.getByLabel('Message', { exact: true }).focus();
      await page.keyboard.type('line one');
      await page.keyboard.press('Shift+Enter');
      await page.keyboard.type('line two');
      await page.keyboard.press('Enter');
      await isDone();
      expect(await page.locator('.user').innerText()).toBe('line one\nline two');
      const unnamed = await page.locator('button, select, textarea, input').evaluateAll((controls) =>
        controls
          .filter((c) => {
            const { labels } = c as { labels?: { readonly length: number } | null };
            return !c.getAttribute('aria-label') && !c.textContent?.trim() && !labels?.length;
          })
          .map((c) => c.outerHTML),
      );
      expect(unnamed).toEqual([]);
    });

    it('fits the width, and asks nobody else for anything', async () => {
      const foreign: string[] = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(url)) foreign.push(request.url());
      });
      server.answer = { pieces: inPieces(`${'W'.repeat(300)}\n\n\`\`\`\n${'code '.repeat(100)}\n\`\`\``) };
      await say('wide');
      await isDone();
      const { scrollWidth, clientWidth } = await page
        .locator('html')
        .evaluate((html) => ({ scrollWidth: html.scrollWidth, clientWidth: html.clientWidth }));
      expect(scrollWidth).toBeLessThanOrEqual(clientWidth);
      const composer = await page.locator('#composer').boundingBox();
      expect((composer?.y ?? 0) + (composer?.height ?? 0)).toBeLessThanOrEqual(
        sizes[size].viewport.height + 1,
      );
      expect(foreign).toEqual([]);
    });
  },
);

afterAll(async () => {
  if (typeof started !== 'string') await started.close();
});
