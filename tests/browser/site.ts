// A site on this machine with the browser build and files for pages to load, with ranges or without.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SiteFile {
  readonly type: string;
  readonly bytes: Uint8Array | string;
  /** Answers a range with the whole file, as simple servers do. */
  readonly noRanges?: boolean;
}

export class Site {
  readonly files: Map<string, SiteFile>;
  /** Paths that were asked for, with the range. */
  readonly requests: string[] = [];
  readonly #server: Server;

  constructor(files: Readonly<Record<string, SiteFile>>) {
    this.files = new Map(Object.entries(files));
    this.#server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://localhost').pathname;
      const { range } = request.headers;
      this.requests.push(range === undefined ? path : `${path} ${range}`);
      const file = this.files.get(path);
      if (file === undefined) return void response.writeHead(404).end();
      const bytes = Buffer.from(file.bytes as Uint8Array);
      const headers = { 'content-type': file.type, 'content-length': bytes.length };
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(file.noRanges ? '' : (range ?? '')) ?? [];
      if (from === undefined) return void response.writeHead(200, headers).end(bytes);
      if (Number(from) >= bytes.length) return void response.writeHead(416).end();
      const part = bytes.subarray(Number(from), Number(to) + 1);
      response
        .writeHead(206, {
          ...headers,
          'content-length': part.length,
          'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`,
        })
        .end(part);
    });
  }

  /** The address, with a slash at its end. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
