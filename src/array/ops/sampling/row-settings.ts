// The settings of a row of logits as plans carry them: 12 words of 32 bits, listed in docs/cpu-kernels.md.

/** Words of one row. */
export const SETTINGS_WORDS = 12;

/** How a token is drawn from one row of logits. */
export interface RowSettings {
  /** 0 (default) takes the most probable token. */
  readonly temperature?: number;
  /** Keeps the k most probable tokens; 0 (default) keeps all. */
  readonly topK?: number;
  /** Keeps the shortest prefix of tokens that reaches this probability; default 1. */
  readonly topP?: number;
  /** Drops tokens less probable than minP times the best; default 0. */
  readonly minP?: number;
  readonly seed?: number;
  /** Counts the draws of one seed. */
  readonly step?: number;
  /** Divides positive and multiplies negative logits of tokens that occurred; default 1. https://arxiv.org/abs/1909.05858 */
  readonly repetition?: number;
  /** Subtracted once from the logits of tokens that occurred; default 0. */
  readonly presence?: number;
  /** Subtracted per occurrence; default 0. */
  readonly frequency?: number;
  /** Row of counts that says what occurred; -1 (default): no penalties. */
  readonly slot?: number;
  /** Row of masks that says which tokens are allowed; -1 (default): all. */
  readonly mask?: number;
  /** Alternatives to report; default 0. */
  readonly top?: number;
}

const floatWords = {
  temperature: [0, 0],
  topP: [2, 1],
  minP: [3, 0],
  repetition: [6, 1],
  presence: [7, 0],
  frequency: [8, 0],
} as const;
const integerWords = {
  topK: [1, 0],
  seed: [4, 0],
  step: [5, 0],
  slot: [9, -1],
  mask: [10, -1],
  top: [11, 0],
} as const;

const entries = <K extends string, V>(record: Readonly<Record<K, V>>) => Object.entries(record) as [K, V][];
const floatEntries = entries(floatWords);
const integerEntries = entries(integerWords);

/** The settings as the words `[rows, 12]` of a plan's input; those that a row has in `own` come before its others. */
export function settingsWords(rows: readonly RowSettings[], own: readonly RowSettings[] = []): Int32Array {
  const words = new Int32Array(rows.length * SETTINGS_WORDS);
  const floats = new Float32Array(words.buffer);
  rows.forEach((row, r) => {
    const first = own[r] ?? row;
    const at = r * SETTINGS_WORDS;
    for (const [name, [word, fallback]] of floatEntries) {
      floats[at + word] = first[name] ?? row[name] ?? fallback;
    }
    for (const [name, [word, fallback]] of integerEntries) {
      words[at + word] = first[name] ?? row[name] ?? fallback;
    }
  });
  return words;
}

/** The settings of one row of words. */
export function readSettings(words: Int32Array, row: number): Required<RowSettings> {
  const own = words.slice(row * SETTINGS_WORDS, (row + 1) * SETTINGS_WORDS);
  const floats = new Float32Array(own.buffer);
  const float = (name: keyof typeof floatWords): number => floats[floatWords[name][0]] as number;
  const integer = (name: keyof typeof integerWords): number => own[integerWords[name][0]] as number;
  return {
    temperature: float('temperature'),
    topP: float('topP'),
    minP: float('minP'),
    repetition: float('repetition'),
    presence: float('presence'),
    frequency: float('frequency'),
    topK: integer('topK'),
    seed: integer('seed') >>> 0,
    step: integer('step') >>> 0,
    slot: integer('slot'),
    mask: integer('mask'),
    top: integer('top'),
  };
}
