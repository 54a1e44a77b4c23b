// From token ids to text: the stages of a decoder, token by token.

import { IngotError } from '../base/errors.ts';
import type { Flow, Stage } from './pipeline/decoders.ts';
import type { DecodeOptions, StreamDecoder, StreamOptions } from './tokenizer.ts';

export interface DecodeTable {
  /** Token of an id as the vocabulary spells it; undefined beyond the vocabulary. */
  readonly tokenOf: (id: number) => string | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly stages: readonly Stage[];
}

const utf8 = new TextEncoder();
const nothing = new Uint8Array(0);

/** Decodes ids of one vocabulary. */
export class Decoder {
  readonly #table: DecodeTable;

  constructor(table: DecodeTable) {
    this.#table = table;
  }

  /** Text of `ids`. Throws invalid_argument for an id that is no non-negative integer. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    const parts = ids.map((id) => stream.push(id));
    return parts.join('') + stream.end();
  }

  stream(options: StreamOptions = {}): StreamDecoder {
    const { skipSpecial = true, keep, continuation = false } = options;
    const { specialIds, stages } = this.#table;
    const flows = stages.map((stage) => stage.start(continuation));
    return {
      push: (id) => {
        if (skipSpecial && specialIds.has(id) && keep?.has(id) !== true) return '';
        const token = this.#token(id);
        return token === undefined ? '' : through(flows, 0, [token]);
      },
      end: () => flows.map((flow, i) => through(flows, i + 1, flow.end())).join(''),
    };
  }

  /** What an id adds to a text. Throws invalid_argument for an id that is no non-negative integer. */
  bytesOf(id: number): Uint8Array {
    let token: string | Uint8Array | undefined = this.#token(id);
    for (const { middle } of this.#table.stages) if (typeof token === 'string') token = middle(token);
    return typeof token === 'string' ? utf8.encode(token) : (token ?? nothing);
  }

  #token(id: number): string | undefined {
    if (Number.isInteger(id) && id >= 0) return this.#table.tokenOf(id);
    throw new IngotError('invalid_argument', `token id ${id} is not a non-negative integer`, {
      details: { id },
    });
  }
}

/** What comes out when `tokens` go into the flow at `from` and on. */
function through(flows: readonly Flow[], from: number, tokens: readonly string[]): string {
  let made = tokens;
  for (let i = from; i < flows.length && made.length > 0; i++) {
    const flow = flows[i];
    if (flow) made = made.flatMap((token) => flow.push(token));
  }
  return made.join('');
}
