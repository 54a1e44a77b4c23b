// A web server on 127.0.0.1 for the tests of downloads: files with range requests, and every way a transfer can go wrong.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Served {
  readonly body: Uint8Array | string;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly etag?: string;
  /** Answer range requests with the whole file. */
  readonly noRanges?: boolean;
  /** Cut the connection after so many bytes of the body; one entry per request, undefined for no cut. */
  readonly cutAfter?: (number | undefined)[];
  /** Send so many bytes and then nothing; one number per request. */
  readonly stallAfter?: number[];
}

export interface Request {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface TestServer {
  readonly url: string;
  readonly files: Map<string, Served>;
  readonly requests: Request[];
  close(): Promise<void>;
}

export async function startServer(): Promise<TestServer> {
  const files = new Map<string, Served>();
  const requests: Request[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').replace(/\?.*$/, ''));
    requests.push({ path, range: request.headers.range, authorization: request.headers.authorization });
    const file = files.get(path);
    if (file) serve(file, request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function serve(file: Served, request: IncomingMessage, response: ServerResponse): void {
  const body = Buffer.from(typeof file.body === 'string' ? Buffer.from(file.body) : file.body);
  const headers: Record<string, string> = { ...file.headers };
  if (file.etag !== undefined) headers.etag = `"${file.etag}"`;
  const ifRange = request.headers['if-range'];
  const fresh = ifRange === undefined || ifRange === headers.etag;
  const match = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
  let part = body;
  let status = file.status ?? 200;
  if (match && !file.noRanges && fresh && status === 200) {
    const suffix = match[1] === '';
    const start = suffix ? Math.max(0, body.length - Number(match[2])) : Number(match[1]);
    const end = suffix || match[2] === '' ? body.length - 1 : Math.min(Number(match[2]), body.length - 1);
    part = body.subarray(start, end + 1);
    headers['content-range'] = `bytes ${start}-${end}/${body.length}`;
    status = 206;
  }
  response.writeHead(status, { ...headers, 'content-length': String(part.length) });
  const cut = file.cutAfter?.shift();
  const stall = file.stallAfter?.shift();
  if (cut !== undefined)
    response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  else if (stall !== undefined) response.write(part.subarray(0, stall));
  else response.end(part);
}
