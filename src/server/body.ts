// Reading a request's body as JSON, within limits that are checked while it arrives.

import type { Limits } from './limits.ts';
import { RequestError } from './problem.ts';

type BodyLimits = Pick<Limits, 'bodyBytes' | 'jsonDepth' | 'jsonValues'>;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Counts nesting and values of JSON text as it comes, so that what would take long to parse is refused before. */
class JsonGuard {
  readonly #limits: BodyLimits;
  #inString = false;
  #escaped = false;
  #depth = 0;
  #values = 1;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** Throws RequestError when a limit is passed. */
  push(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === COMMA) this.#values++;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#open();
      else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) this.#depth--;
    }
    if (this.#values > this.#limits.jsonValues) {
      throw new RequestError('invalid', `the body has more than ${this.#limits.jsonValues} values`);
    }
  }

  #open(): void {
    this.#values++;
    if (++this.#depth <= this.#limits.jsonDepth) return;
    throw new RequestError('invalid', `the body is nested deeper than ${this.#limits.jsonDepth} levels`);
  }
}

/**
 * The JSON object in the body of `request`. Throws RequestError when it is too large, too deep, not UTF-8, not JSON, or no
 * object.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<Record<string, unknown>> {
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    throw new RequestError(
      'invalid',
      `content-encoding "${encoding}" is not supported; send the body as it is`,
    );
  }
  if (Number(request.headers.get('content-length') ?? 0) > limits.bodyBytes) throw tooLarge(limits);
  const value = parseJson(await readText(request, limits));
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new RequestError('invalid', 'the body must be a JSON object');
}

const tooLarge = ({ bodyBytes }: BodyLimits): RequestError =>
  new RequestError('too_large', `the body is larger than ${bodyBytes} bytes`);

async function readText(request: Request, limits: BodyLimits): Promise<string> {
  if (request.body === null) return '';
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const guard = new JsonGuard(limits);
  let [bytes, text] = [0, ''];
  try {
    for await (const chunk of request.body) {
      bytes += chunk.length;
      if (bytes > limits.bodyBytes) throw tooLarge(limits);
      guard.push(chunk);
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (cause) {
    if (cause instanceof RequestError) throw cause;
    if (cause instanceof TypeError && 'code' in cause && cause.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      throw new RequestError('invalid', 'the body is not valid UTF-8');
    }
    throw new RequestError('invalid', 'the body ended before it was complete');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RequestError('invalid', `the body is not valid JSON: ${reason.slice(0, 200)}`);
  }
}
