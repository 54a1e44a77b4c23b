// Conversations of the chat page: several, over reloads and in tabs, exported; selections, copies, colours and formulas of answers.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patient, startBrowser } from './chromium.ts';
import { inPieces, ScriptedServer } from './scripted-server.ts';

const started = await startBrowser();
const reason = typeof started === 'string' ? ` (skipped: ${started})` : '';
const browser = started as Browser;
const pictures = process.env.INGOT_TEST_PICTURES;

describe.skipIf(typeof started === 'string')(`conversations on the page${reason}`, () => {
  const server = new ScriptedServer();
  let url: string;
  let context: BrowserContext;
  let page: Page;
  const errors: string[] = [];

  const watched = async (): Promise<Page> => {
    const made = await context.newPage();
    made.on('pageerror', (error) => errors.push(error.message));
    made.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    await made.goto(url);
    return made;
  };
  const say = async (text: string, on = page): Promise<void> => {
    await on.getByLabel('Message', { exact: true }).fill(text);
    await on.getByLabel('Message', { exact: true }).press('Enter');
  };
  const last = (on = page) => on.locator('#messages .assistant').last();
  const isDone = (on = page) => last(on).getByRole('button', { name: 'Regenerate' }).waitFor();
  const users = (on = page) => on.locator('#messages .user').allInnerTexts();
  const picture = async (name: string): Promise<void> => {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: `${pictures}/chats-${name}.png` });
  };

  beforeAll(async () => {
    // The page's libraries lie beside it.
    execFileSync(process.execPath, ['tools/build.mjs', '--page-only', '--quiet']);
    url = await server.start();
  });
  afterAll(async () => {
    await server.stop();
    await browser.close();
  });
  beforeEach(async () => {
    context = patient(
      await browser.newContext({ viewport: { width: 1000, height: 700 }, acceptDownloads: true }),
    );
    page = await watched();
    server.answer = { pieces: inPieces('Hello!') };
  });
  afterEach(async () => {
    await context.close();
    expect(errors.splice(0)).toEqual([]);
  });

  it('keeps several, each tab its own, and gives them out', async () => {
    await say('First question');
    await isDone();
    const other = await watched();
    expect(await users(other)).toEqual([]);
    await say('Second question', other);
    await isDone(other);
    await say('More of the first');
    await isDone();
    await page.reload();
    expect(await users()).toEqual(['First question', 'More of the first']);
    await other.reload();
    expect(await users(other)).toEqual(['Second question']);

    await page.keyboard.press('Control+Shift+H');
    const names = page.locator('#chat-list .chat span');
    expect(await names.allInnerTexts()).toEqual(['First question', 'Second question']);
    await picture('list');
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export First question' }).click(),
    ]);
    expect(file.suggestedFilename()).toBe('First question.md');
    expect(readFileSync(await file.path(), 'utf8')).toBe(
      '# First question\n\n## You\n\nFirst question\n\n## Answer\n\nHello!\n\n## You\n\nMore of the first\n\n## Answer\n\nHello!\n',
    );
    await page.getByRole('button', { name: 'Second question', exact: false }).first().click();
    expect(await users()).toEqual(['Second question']);
    // Both tabs have it now: what one adds does not write over what the other has.
    await say('from one tab');
    await isDone();
    await say('from the other', other);
    await isDone(other);
    await page.keyboard.press('Control+Shift+H');
    expect(await names.count()).toBe(3);
    await page.getByRole('button', { name: 'Delete First question' }).click();
    expect(await names.count()).toBe(2);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Shift+O');
    await page.getByText('What is on your mind?').waitFor();
  });

  it('an answer that was cut off by leaving is there, and can be had again', async () => {
    server.answer = { pieces: inPieces('Half of an answer'), hold: true };
    await say('Go on');
    await last().getByText('Half of an answer').waitFor();
    await page.reload();
    await last().getByText('Half of an answer').waitFor();
    expect(await last().locator('.speed').innerText()).toContain('interrupted when the page was left');
    server.answer = { pieces: inPieces('The whole') };
    await last().getByRole('button', { name: 'Regenerate' }).click();
    await last().getByText('The whole').waitFor();
    await isDone();
    await page.reload();
    expect(await last().locator('.speed').innerText()).not.toContain('interrupted');
  });

  it('what is selected stays selected while the answer grows', async () => {
    let select = async (): Promise<void> => undefined;
    server.answer = {
      pieces: inPieces('The first paragraph.\n\nThe second one goes on and on'),
      last: () => select(),
    };
    select = async () => {
      await last().getByText('The second one').waitFor();
      await page.evaluate(`(() => {
        const [first, second] = document.querySelectorAll('.assistant p');
        getSelection().setBaseAndExtent(first.firstChild, 4, second.firstChild, 10);
      })()`);
    };
    await say('Tell me');
    await isDone();
    expect(await page.evaluate('String(getSelection())')).toBe('first paragraph.\n\nThe second');
  });

  it('copies without a right to the clipboard, and colours code, and draws formulas', async () => {
    const code = 'const x = 1; // one';
    server.answer = {
      pieces: inPieces(`\`\`\`js\n${code}\n\`\`\`\n\nSo $a^2$ and it costs $5 or $6.\n\n$$\\frac{1}{2}$$`),
    };
    await page.addInitScript('Object.defineProperty(navigator, "clipboard", { value: undefined })');
    await page.reload();
    await say('Code');
    await isDone();
    await last().getByRole('button', { name: 'Copy code' }).click();
    await last().getByText('Copied').waitFor();
    await page.getByLabel('Message', { exact: true }).focus();
    await page.keyboard.press('Control+V');
    expect(await page.getByLabel('Message', { exact: true }).inputValue()).toBe(code);
    await expect
      .poll(() => page.evaluate('[...CSS.highlights.get("code-keyword")].map(String)'))
      .toEqual(['const']);
    expect(await page.evaluate('[...CSS.highlights.get("code-comment")].map(String)')).toEqual(['// one']);
    await expect.poll(() => last().locator('math').count()).toBe(2);
    expect(await last().locator('math mfrac').count()).toBe(1);
    expect(await last().locator('p').innerText()).toContain('it costs $5 or $6.');
    await picture('code');
    expect(await page.locator('#told').innerText()).toBe('The answer is complete.');
    expect(await page.getByRole('status').innerText()).toBe('');
  });
});
