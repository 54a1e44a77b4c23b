// How text is cut into words before merging. A GGUF file only names the rule (`tokenizer.ggml.pre`); the expressions are
// part of the tokenizers' published definitions.

import { IngotError } from '../base/errors.ts';

type Step = Readonly<Record<string, unknown>>;

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const tail = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const llama3 = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${tail}`;
const qwen2 = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${tail}`;
const digit = '\\p{N}';

const upper = '\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}';
const lower = '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}';
const cased = (suffix: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?[${upper}]*[${lower}]+${suffix}|[^\\r\\n\\p{L}\\p{N}]?[${upper}]+[${lower}]*${suffix}`;
const casedTail = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const tekken = `${cased('')}|\\p{N}|${casedTail}`;
const gpt4o = `${cased(`${contractions}?`)}|\\p{N}{1,3}|${casedTail}`;

interface SplitRule {
  readonly expressions: readonly string[];
  /** A word that is in the vocabulary as a whole is taken without merging. */
  readonly ignoreMerges: boolean;
  /** Texts start with BOS when the file does not say. */
  readonly addBos: boolean;
  /** Unicode NFC first. */
  readonly nfc: boolean;
}

const rule = (expressions: readonly string[], flags: Partial<SplitRule> = {}): SplitRule => ({
  expressions,
  ignoreMerges: false,
  addBos: false,
  nfc: false,
  ...flags,
});

const named = (found: SplitRule, ...names: string[]) => names.map((name) => [name, found] as const);
const tiktoken = { ignoreMerges: true, addBos: true };

const rules: ReadonlyMap<string, SplitRule> = new Map([
  // Files without a rule, or with "default", come from old converters; GPT-2's is what those models mostly used.
  ...named(
    rule([gpt2]),
    'gpt-2',
    'default',
    'phi-2',
    'jina-es',
    'jina-de',
    'mpt',
    'olmo',
    'jais',
    'trillion',
  ),
  ...named(
    rule([digit, gpt2]),
    'smollm',
    'starcoder',
    'refact',
    'command-r',
    'codeshell',
    'exaone',
    'minerva-7b',
  ),
  ...named(
    rule([llama3], tiktoken),
    'llama-bpe',
    'llama3',
    'llama-v3',
    'falcon3',
    'falcon-h1',
    'pixtral',
    'lfm2',
  ),
  ...named(rule([llama3]), 'dbrx', 'smaug-bpe'),
  ...named(rule([qwen2], { nfc: true }), 'qwen2', 'deepseek-r1-qwen', 'megrez', 'kormo'),
  ...named(rule([qwen2]), 'stablelm2'),
  ...named(rule([tekken], tiktoken), 'tekken'),
  ...named(rule([gpt4o]), 'gpt-4o', 'llama4', 'kanana2'),
]);

const isolated = (expression: string): Step => ({
  type: 'Split',
  pattern: { Regex: expression },
  behavior: 'Isolated',
  invert: false,
});

const byteLevel: Step = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };

/** What a byte-level vocabulary needs beside tokens and merges, in tokenizer.json's terms. */
export interface SplitSpec {
  readonly preTokenizer: Step;
  readonly normalizer: Step | null;
  readonly ignoreMerges: boolean;
  readonly addBos: boolean;
}

/** The rule that `tokenizer.ggml.pre` names. Throws unsupported for an unknown name, listing the known ones. */
export function splitFor(name: string): SplitSpec {
  const found = rules.get(name);
  if (!found) {
    throw new IngotError(
      'unsupported',
      `tokenizer.ggml.pre: "${name}" is not a known way to cut text (known: ${[...rules.keys()].join(', ')}); put the model's tokenizer.json beside the file, or use token ids`,
      { details: { pre: name } },
    );
  }
  return {
    preTokenizer: { type: 'Sequence', pretokenizers: [...found.expressions.map(isolated), byteLevel] },
    normalizer: found.nfc ? { type: 'NFC' } : null,
    ignoreMerges: found.ignoreMerges,
    addBos: found.addBos,
  };
}

/** The name in `tokenizer.ggml.pre` of how a tokenizer.json cuts text. Throws unsupported when there is none. */
export function ruleNamed(preTokenizer: Step | null, normalizer: Step | null, file: string): string {
  const found = expressionsOf(preTokenizer);
  const nfc = normalizer?.type === 'NFC';
  for (const [name, { expressions, nfc: wanted }] of rules) {
    // GPT-2's own name, not that of files without a rule; case is spelled out in some expressions.
    const same = expressions.length === found.length && expressions.every((e, i) => e === found[i]);
    if (same && wanted === nfc) return name;
  }
  throw new IngotError(
    'unsupported',
    `${file}: GGUF has no name for the way this tokenizer cuts text; use MLX or safetensors, or quantise a GGUF file of the model`,
  );
}

/** The expressions of the steps that cut, in turn. */
function expressionsOf(step: Step | null): readonly string[] {
  if (step === null) return [];
  if (step.type === 'Sequence' && Array.isArray(step.pretokenizers)) {
    return step.pretokenizers.flatMap((part: Step) => expressionsOf(part));
  }
  if (step.type === 'Digits') return [step.individual_digits === true ? digit : `${digit}+`];
  if (step.type === 'ByteLevel') return step.use_regex === false ? [] : [gpt2];
  const pattern =
    step.type === 'Split' ? (step.pattern as { readonly Regex?: unknown } | undefined) : undefined;
  return typeof pattern?.Regex === 'string' ? [pattern.Regex] : [];
}
