// Lines from a terminal or a pipe, with history, texts of several lines, and Ctrl-C that means what it should at the moment.

import { createInterface, type Interface } from 'node:readline';
import type { Output } from './context.ts';

const fence = '"""';

/** Asks for lines. One question at a time. */
export class Prompt {
  readonly interactive: boolean;
  readonly #lines: Interface;
  readonly #out: Output;
  readonly #queue: string[] = [];
  #waiting: ((line: string | undefined) => void) | undefined;
  #closed = false;
  #interrupt: (() => void) | undefined;
  #warned = false;
  #history: readonly string[];

  constructor(
    input: NodeJS.ReadableStream & { readonly isTTY?: boolean },
    out: Output,
    history: readonly string[],
  ) {
    this.#out = out;
    this.interactive = input.isTTY === true && out.isTTY;
    this.#history = history;
    this.#lines = createInterface({
      input,
      ...(this.interactive
        ? { output: process.stdout, terminal: true, history: [...history], removeHistoryDuplicates: true }
        : {}),
    });
    this.#lines.on('history', (lines: string[]) => {
      this.#history = [...lines];
    });
    this.#lines.on('line', (line) => this.#take(line));
    this.#lines.on('SIGINT', () => this.#onInterrupt());
    this.#lines.on('close', () => {
      this.#closed = true;
      if (this.#queue.length === 0) this.#answer(undefined);
    });
  }

  /** Typed lines, newest first. */
  get history(): readonly string[] {
    return this.#history;
  }

  /** The next text: one line, or the lines between two fences. Undefined when the input has ended. */
  async ask(prompt: string): Promise<string | undefined> {
    const first = await this.#line(prompt);
    if (first === undefined || !first.trimStart().startsWith(fence)) return first;
    const lines = [first.trimStart().slice(fence.length)];
    while (!lines.at(-1)?.trimEnd().endsWith(fence)) {
      const next = await this.#line('... ');
      if (next === undefined) break;
      lines.push(next);
    }
    return lines.join('\n').trimEnd().replace(/"""$/, '').trim();
  }

  /** While held, Ctrl-C aborts the returned signal instead of leaving. */
  interruptible(): { readonly signal: AbortSignal; release(): void } {
    const controller = new AbortController();
    this.#interrupt = () => controller.abort();
    return {
      signal: controller.signal,
      release: () => {
        this.#interrupt = undefined;
      },
    };
  }

  close(): void {
    this.#lines.close();
  }

  #line(prompt: string): Promise<string | undefined> {
    const queued = this.#queue.shift();
    if (queued !== undefined) return Promise.resolve(queued);
    if (this.#closed) return Promise.resolve(undefined);
    if (this.interactive) {
      this.#lines.setPrompt(prompt);
      this.#lines.prompt();
    }
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  #take(line: string): void {
    this.#warned = false;
    if (this.#waiting) this.#answer(line);
    // What is typed while an answer streams is no question yet; what comes from a pipe is.
    else if (!this.interactive) this.#queue.push(line);
  }

  #answer(line: string | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(line);
  }

  #onInterrupt(): void {
    if (this.#interrupt) {
      this.#interrupt();
      this.#warned = true;
      return;
    }
    if (this.#warned) {
      this.#out.write('\n');
      this.close();
      return;
    }
    this.#warned = true;
    this.#out.write('\n(Ctrl-C again, Ctrl-D or /exit to leave)\n');
    // Ctrl-U: what was typed so far is given up.
    this.#lines.write(null, { ctrl: true, name: 'u' });
    this.#lines.prompt();
  }
}
