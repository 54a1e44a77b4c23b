// tokenizer.json as the metadata of a GGUF file: the inverse of gguf.ts for byte-level BPE.

import { IngotError } from '../base/errors.ts';
import { isObject } from './json.ts';
import { checkSpec, tokensOf } from './spec.ts';
import { ruleNamed } from './split.ts';

/** Values by key; numbers are token ids. */
export type TokenizerMetadata = Readonly<
  Record<string, string | boolean | number | readonly string[] | Int32Array>
>;

const normal = 1;
const control = 3;
const userDefined = 4;
const unused = 5;

/**
 * `tokenizer.*` keys of a parsed tokenizer.json and tokenizer_config.json. `size` is the number of rows of the embedding: ids without
 * a token are unused ones. Throws unsupported for tokenizers other than byte-level BPE and ways to cut text that GGUF has no name for.
 */
export function ggufTokenizer(
  tokenizer: unknown,
  config: Readonly<Record<string, unknown>>,
  size: number,
  file: string,
): TokenizerMetadata {
  const spec = checkSpec(tokenizer, file);
  const merges = spec.model.merges;
  if (spec.model.type !== 'BPE' || spec.decoder?.type !== 'ByteLevel' || !Array.isArray(merges)) {
    throw new IngotError(
      'unsupported',
      `${file}: only byte-level BPE tokenizers can be written as GGUF; use MLX or safetensors, or quantise a GGUF file of the model`,
    );
  }
  const known = tokensOf(spec, file);
  const added = new Map(spec.added_tokens.map((token) => [token.id, token]));
  const length = Math.max(size, known.length);
  const tokens = Array.from({ length }, (_, id) => known[id] ?? `[PAD${id}]`);
  const types = Int32Array.from({ length }, (_, id) => {
    const token = added.get(id);
    if (token !== undefined) return token.special === true ? control : userDefined;
    return known[id] === undefined ? unused : normal;
  });
  const metadata: Record<string, string | boolean | number | readonly string[] | Int32Array> = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': ruleNamed(spec.pre_tokenizer, spec.normalizer, file),
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': merges.map((merge: unknown) =>
      Array.isArray(merge) ? merge.join(' ') : String(merge),
    ),
  };
  for (const [key, name] of [
    ['bos_token', 'bos_token_id'],
    ['eos_token', 'eos_token_id'],
    ['pad_token', 'padding_token_id'],
    ['unk_token', 'unknown_token_id'],
  ] as const) {
    const value = config[key];
    const content = isObject(value) ? value.content : value;
    const id = typeof content === 'string' ? tokens.indexOf(content) : -1;
    if (id >= 0) metadata[`tokenizer.ggml.${name}`] = id;
  }
  metadata['tokenizer.ggml.add_bos_token'] = startsWithBos(
    spec.post_processor,
    tokens,
    metadata['tokenizer.ggml.bos_token_id'],
  );
  return metadata;
}

/** Whether the template puts BOS before a text. */
function startsWithBos(processor: unknown, tokens: readonly string[], bos: unknown): boolean {
  if (!isObject(processor) || typeof bos !== 'number') return false;
  if (processor.type === 'Sequence' && Array.isArray(processor.processors)) {
    return processor.processors.some((part: unknown) => startsWithBos(part, tokens, bos));
  }
  const [first] = Array.isArray(processor.single) ? processor.single : [];
  return isObject(first) && isObject(first.SpecialToken) && first.SpecialToken.id === tokens[bos];
}
