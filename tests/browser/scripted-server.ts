// The chat page as a server gives it, with answers from a script.

import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";

export interface Piece {
  readonly content?: string;
  readonly reasoning_content?: string;
}

export class ScriptedServer {
  readonly requests: {
    readonly body: Record<string, unknown>;
    readonly authorization: string | undefined;
  }[] = [];
  /** Paths that were asked for. */
  readonly paths: string[] = [];
  models = ['small-model', 'large-model'];
  /** The next answer; `last` runs before its last piece, and `hold` keeps it open after its pieces. */
  answer: {
    pieces: readonly Piece[];
    last?: () => Promise<void>;
    hold?: boolean;
    end?: string;
    experts?: object;
  } = {
    pieces: [],
  };
  /** A status and message instead of the next answer. */
  failure: { status: number; message: string } | undefined;
  aborted = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }
  /** Breaks off every answer. */
  cut(): void {
    this.#server.closeAllConnections();
  }
  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    this.paths.push(path);
    if (path === '/v1/models') {
      json(response, 200, { object: 'list', data: this.models.map((id) => ({ id, object: 'model' })) });
    } else if (path === '/v1/chat/completions') await this.#complete(request, response);
    else this.#file(path, response);
  }

  #file(path: string, response: ServerResponse): void {
    const name = path === '/' ? 'index.html' : path.slice(1);
    const type = types[extname(name)];
    if (!type || !/^(vendor\/)?[\w-]+\.\w+$/.test(name)) return void response.writeHead(404).end();
    const file = fileURLToPath(new URL(`../../web/${name}`, import.meta.url));
    // The libraries are there once the page was built.
    if (!existsSync(file)) return void response.writeHead(404).end();
    const bytes = readFileSync(file);
    response.writeHead(200, { 'content-type': type, 'content-security-policy': policy }).end(bytes);
  }

  async #complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request) text += part;
    this.requests.push({ body: JSON.parse(text), authorization: request.headers.authorization });
    if (this.failure) {
      const { status, message } = this.failure;
      this.failure = undefined;
      json(response, status, { error: { message } });
      return;
    }
    const { pieces, last, hold = false, end = 'stop', experts } = this.answer;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.on('close', () => {
      if (!response.writableFinished) this.aborted++;
    });
    const send = (data: object): void => void response.write(`data: ${JSON.stringify(data)}\n\n`);
    for (const [i, delta] of pieces.entries()) {
      if (i === pieces.length - 1) await last?.();
      send({ choices: [{ index: 0, delta, finish_reason: null }] });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (hold) return;
    send({ choices: [{ index: 0, delta: {}, finish_reason: end }] });
    send({ choices: [], usage: { prompt_tokens: 5, completion_tokens: pieces.length, experts } });
    response.end('data: [DONE]\n\n');
  }
}

/** A text as a model may give it. */
export const inPieces = (text: string): readonly Piece[] =>
  (text.match(/[\s\S]{1,7}/g) ?? []).map((content) => ({ content }));

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
