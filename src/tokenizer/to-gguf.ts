// tokenizer.json as the metadata of a GGUF file: the inverse of gguf.ts, for byte-level BPE, and for BPE and
// Unigram of SentencePiece.

import { IngotError } from '../base/errors.ts';
import { isObject } from './json.ts';
import { mergedBy } from './merges.ts';
import { checkSpec, type TokenizerSpec, tokensOf } from './spec.ts';
import { ruleNamed } from './split.ts';
import { patternOf, stepsOf } from './steps-of.ts';
import { pieceTypes, spaceMark } from './unigram-spec.ts';
import { unigramKeys } from './unigram-to-gguf.ts';

/** Values by key; numbers are token ids. */
export type TokenizerMetadata = Readonly<
  Record<string, string | boolean | number | readonly string[] | Int32Array | Float32Array | Uint8Array>
>;

/**
 * `tokenizer.*` keys of a parsed tokenizer.json and tokenizer_config.json. `size` is the number of rows of the embedding: ids without
 * a token are unused ones. Throws unsupported for tokenizers and ways to cut text that GGUF has no name for.
 */
export function ggufTokenizer(
  tokenizer: unknown,
  config: Readonly<Record<string, unknown>>,
  size: number,
  file: string,
): TokenizerMetadata {
  const spec = checkSpec(tokenizer, file);
  const known = tokensOf(spec, file);
  const length = Math.max(size, known.length);
  const tokens = Array.from({ length }, (_, id) => known[id] ?? `[PAD${id}]`);
  const types = tokenTypes(spec, known, length);
  const metadata: Record<string, TokenizerMetadata[string]> = {
    ...(spec.decoder?.type === 'ByteLevel' && spec.model.type === 'BPE'
      ? byteLevel(spec, file)
      : pieces(spec, tokens, types, file)),
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
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
  const special = (name: string): unknown =>
    tokens[Number(metadata[`tokenizer.ggml.${name}_token_id`] ?? -1)];
  metadata['tokenizer.ggml.add_bos_token'] = surrounds(spec.post_processor, 0, special('bos'));
  metadata['tokenizer.ggml.add_eos_token'] = surrounds(spec.post_processor, -1, special('eos'));
  return metadata;
}

function tokenTypes({ added_tokens }: TokenizerSpec, known: readonly unknown[], length: number): Int32Array {
  const added = new Map(added_tokens.map((token) => [token.id, token]));
  return Int32Array.from({ length }, (_, id) => {
    const token = added.get(id);
    if (token !== undefined) return token.special === true ? pieceTypes.control : pieceTypes.userDefined;
    return known[id] === undefined ? pieceTypes.unused : pieceTypes.normal;
  });
}

function byteLevel({ model, pre_tokenizer, normalizer }: TokenizerSpec, file: string): TokenizerMetadata {
  const merges = Array.isArray(model.merges) ? model.merges : [];
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': ruleNamed(pre_tokenizer, normalizer, file),
    'tokenizer.ggml.merges': merges.map((merge: unknown) =>
      Array.isArray(merge) ? merge.join(' ') : String(merge),
    ),
  };
}

/**
 * BPE over pieces with marks for spaces. Readers merge the pair whose joined token has the best score, so scores are the order of the
 * merges; tokens that none makes come last. `types` gets what bytes and the unknown token are.
 */
function pieces(
  spec: TokenizerSpec,
  tokens: readonly string[],
  types: Int32Array,
  file: string,
): TokenizerMetadata {
  const { model } = spec;
  const refuse = (why: string): never => {
    throw new IngotError(
      'unsupported',
      `${file}: ${why}, which GGUF has no name for; use MLX or safetensors, or quantise a GGUF file of the model`,
    );
  };
  if (model.type === 'Unigram') return unigramKeys(spec, tokens, types, refuse);
  if (model.type !== 'BPE' || !Array.isArray(model.merges)) refuse(`is a ${String(model.type)} tokenizer`);
  if (model.byte_fallback !== true) refuse('is BPE without bytes for what is in no token');
  const prefix = spacePrefix(spec, refuse);
  const rank = mergedBy(model.merges as readonly unknown[]);
  const last = (model.merges as readonly unknown[]).length;
  tokens.forEach((token, id) => {
    if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = pieceTypes.byte;
    else if (token === model.unk_token) types[id] = pieceTypes.unknown;
    // A run of spaces is made by merges; as one that is looked for in the text its marks would stay in what is decoded.
    else if (types[id] === pieceTypes.userDefined && token.includes(spaceMark)) types[id] = pieceTypes.normal;
  });
  const unk = tokens.indexOf(String(model.unk_token));
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.scores': Float32Array.from(tokens, (token) => -(rank.get(token) ?? last)),
    'tokenizer.ggml.add_space_prefix': prefix,
    ...(unk < 0 ? {} : { 'tokenizer.ggml.unknown_token_id': unk }),
  };
}

/** Whether texts begin with a mark for a space. Refuses what else happens to a text before it is merged. */
function spacePrefix(
  { normalizer, pre_tokenizer: cut }: TokenizerSpec,
  refuse: (why: string) => never,
): boolean {
  let prefix = false;
  for (const step of stepsOf(normalizer, 'normalizers')) {
    if (step.type === 'Prepend' && step.prepend === spaceMark) prefix = true;
    else if (!(step.type === 'Replace' && patternOf(step) === ' ' && step.content === spaceMark))
      refuse(`normalises texts (${String(step.type)})`);
  }
  for (const step of stepsOf(cut, 'pretokenizers')) {
    if (step.type === 'Metaspace' && step.replacement === spaceMark && step.split === false)
      prefix ||=
        step.prepend_scheme === undefined ? step.add_prefix_space !== false : step.prepend_scheme !== 'never';
    // No space is left where all were replaced.
    else if (!(step.type === 'Split' && patternOf(step) === ' ')) refuse(`cuts texts (${String(step.type)})`);
  }
  return prefix;
}

/** Whether the template puts a token at an end of a text: `place` 0 or -1. */
function surrounds(processor: unknown, place: 0 | -1, token: unknown): boolean {
  if (!isObject(processor) || token === undefined) return false;
  if (processor.type === 'Sequence' && Array.isArray(processor.processors))
    return processor.processors.some((part: unknown) => surrounds(part, place, token));
  const end: unknown = Array.isArray(processor.single) ? processor.single.at(place) : undefined;
  return isObject(end) && isObject(end.SpecialToken) && end.SpecialToken.id === token;
}
