// Which of a kernel's candidates an adapter runs: what was measured there, else what ships, else what its nearest relative
// runs, else the kernel's first.

/** Candidate by key; a key names a kernel and its shape class. */
export type Choices = Readonly<Record<string, string>>;

/** What tuned choices belong to. */
export interface AdapterIdentity {
  readonly name: string;
  /** As the driver says, such as `nvidia` and `hopper`. */
  readonly vendor?: string | undefined;
  readonly architecture?: string | undefined;
  /** It computes on the processor. */
  readonly software?: boolean | undefined;
}

/** Where choices of adapters are kept. */
export interface ChoiceStore {
  /** Empty when there are none. */
  load(adapter: AdapterIdentity): Choices;
  /** Returns where they are, for messages; undefined when they could not be kept. */
  save(adapter: AdapterIdentity, choices: Choices): string | undefined;
}

/** Choices from JSON text; what else it holds is left out. Throws for text that is no JSON. */
export function parseChoices(text: string): Choices {
  const parsed: unknown = JSON.parse(text);
  return Object.fromEntries(
    Object.entries(parsed ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** In place of a candidate where there was no time to measure. */
const UNMEASURED = 'unmeasured';

export class ChoiceBook {
  readonly #measured: Map<string, string>;
  readonly #shipped: Choices;
  readonly #inherited: Choices;
  readonly #forced = new Map<string, string>();
  /** Every key that was asked for, with its candidates. */
  readonly asked = new Map<string, readonly string[]>();

  constructor(measured: Choices = {}, shipped: Choices = {}, inherited: Choices = {}) {
    this.#measured = new Map(Object.entries(measured));
    this.#shipped = shipped;
    this.#inherited = inherited;
  }

  /** Whether the choice was measured on this adapter, by its user or by the authors. */
  knows(key: string): boolean {
    return this.#measured.has(key) || Object.hasOwn(this.#shipped, key);
  }

  choose(key: string, candidates: readonly string[]): string {
    this.asked.set(key, candidates);
    const ranked = [this.#forced.get(key), this.#measured.get(key), this.#shipped[key], this.#inherited[key]];
    for (const wanted of ranked) {
      if (wanted !== undefined && candidates.includes(wanted)) return wanted;
    }
    return candidates[0] ?? '';
  }

  /** Puts a candidate in front of everything else until `release`. */
  force(key: string, candidate: string): void {
    this.#forced.set(key, candidate);
  }

  release(): void {
    this.#forced.clear();
  }

  /** Marks a choice as looked at, so that it is known and stays what it was: no candidate has this name. */
  settle(key: string): void {
    if (!this.knows(key)) this.#measured.set(key, UNMEASURED);
  }

  /** Keeps a measured choice. */
  keep(key: string, candidate: string): void {
    this.#measured.set(key, candidate);
  }

  /** What was measured, sorted by key. */
  measured(): Choices {
    return Object.fromEntries([...this.#measured].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
