// Stop strings over streamed text: text is held back only while it could still be the start of a stop string.

import { IngotError } from '../base/errors.ts';

export interface StopResult {
  /** Text that is safe to show. */
  readonly text: string;
  /** The stop string that ended the text; nothing after it is ever shown. */
  readonly stoppedBy: string | undefined;
}

/** Feeds on pieces of text, gives back what may be shown. The stop string itself is never shown. */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';
  #stoppedBy: string | undefined;

  /** @throws IngotError `invalid_argument` for an empty stop string. */
  constructor(stops: readonly string[]) {
    if (stops.some((s) => s.length === 0)) {
      throw new IngotError('invalid_argument', 'a stop string must not be empty');
    }
    this.#stops = stops;
  }

  push(piece: string): StopResult {
    if (this.#stoppedBy !== undefined) return { text: '', stoppedBy: this.#stoppedBy };
    const text = this.#held + piece;
    const hit = this.#firstStop(text);
    if (hit) {
      this.#stoppedBy = hit.stop;
      this.#held = '';
      return { text: text.slice(0, hit.at), stoppedBy: hit.stop };
    }
    const keep = this.#longestOpenPrefix(text);
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stoppedBy: undefined };
  }

  /** The text is over: what was held back is shown after all. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** The stop string that begins first; of two at one place, the longer. */
  #firstStop(text: string): { at: number; stop: string } | undefined {
    let best: { at: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0) continue;
      if (!best || at < best.at || (at === best.at && stop.length > best.stop.length)) best = { at, stop };
    }
    return best;
  }

  /** Length of the longest end of `text` that is a proper beginning of some stop string. */
  #longestOpenPrefix(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
        if (text.endsWith(stop.slice(0, n))) {
          longest = n;
          break;
        }
      }
    }
    return longest;
  }
}
