// Streamed responses: pieces are made when the client has room for them, a silent stream shows signs of life, and a client
// that stops reading or goes away ends the work behind the stream.

export interface ResponseStream {
  readonly contentType: string;
  /** Sent after a time of silence; undefined sends nothing. */
  readonly heartbeat?: string | undefined;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  /** Cuts the connection of a client that left the stream unread for `stallMs`. */
  readonly cut: () => void;
  /** Called once, however the stream ends; `early` when the client did not get all of it. */
  readonly onEnd: (early: boolean) => void;
}

const utf8 = new TextEncoder();

/** A response of `pieces`. An error they end with ends the response without its proper end. */
export function streamResponse(pieces: AsyncIterator<string>, options: ResponseStream): Response {
  const stream = new PieceStream(pieces, options);
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => stream.pull(controller),
      cancel: () => stream.close(true),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: {
      'content-type': options.contentType,
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    },
  });
}

class PieceStream {
  readonly #pieces: AsyncIterator<string>;
  readonly #options: ResponseStream;
  #next: Promise<IteratorResult<string>> | undefined;
  #stall: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(pieces: AsyncIterator<string>, options: ResponseStream) {
    this.#pieces = pieces;
    this.#options = options;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.#stall);
    try {
      const result = await this.#take();
      if (this.#closed) return;
      if (result.done === true) {
        this.close(false);
        controller.close();
        return;
      }
      controller.enqueue(utf8.encode(result.value));
      this.#stall = setTimeout(() => {
        this.close(true);
        this.#options.cut();
      }, this.#options.stallMs);
      this.#stall.unref();
    } catch (error) {
      if (this.#closed) return;
      this.close(true);
      controller.error(error);
    }
  }

  /** The next piece, or a sign of life when it takes long. */
  async #take(): Promise<IteratorResult<string>> {
    this.#next ??= this.#pieces.next();
    const { heartbeat, heartbeatMs } = this.#options;
    if (heartbeat === undefined) return this.#consume(this.#next);
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, heartbeatMs, undefined);
      timer.unref();
    });
    try {
      const result = await Promise.race([this.#next, silence]);
      return result === undefined ? { value: heartbeat } : this.#consume(this.#next);
    } finally {
      clearTimeout(timer);
    }
  }

  #consume(next: Promise<IteratorResult<string>>): Promise<IteratorResult<string>> {
    this.#next = undefined;
    return next;
  }

  close(early: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#stall);
    this.#next?.catch(() => undefined);
    if (early) void this.#pieces.return?.()?.catch(() => undefined);
    this.#options.onEnd(early);
  }
}

/** One event of a server-sent stream; JSON has no line breaks. https://html.spec.whatwg.org/multipage/server-sent-events.html */
export const sse = (data: unknown, event?: string): string =>
  `${event === undefined ? '' : `event: ${event}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

export const SSE = 'text/event-stream; charset=utf-8';
export const NDJSON = 'application/x-ndjson';

/** A comment, which every reader of events skips. */
export const SSE_COMMENT = ': still working\n\n';
