// Tokenizers in the format of SentencePiece, `tokenizer.model`: read as the tokenizer.json that they stand for.
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto

import { FileFormatError, IngotError } from '../base/errors.ts';
import { tokenizerFiles } from './gguf.ts';
import type { Json } from './json.ts';
import { normalizersOf, type UnigramPieces, unigramSpec } from './unigram-spec.ts';

/** What `tokenizer_config.json` says beside it. */
export interface PieceSettings {
  readonly addBos: boolean | undefined;
  readonly addEos: boolean | undefined;
}

/** Kinds of models in the file. */
const unigram = 1;
const bpe = 2;
const latin1 = new TextDecoder('latin1');

/**
 * The tokenizer.json of a SentencePiece model. Throws FileFormatError for damage, and unsupported for models of words and of
 * characters.
 */
export function sentencePieceDocument(bytes: Uint8Array, file: string, settings: PieceSettings): Json {
  const model = readModel(bytes, file);
  if (model.kind === bpe) return bpeDocument(model, file, settings);
  if (model.kind === unigram) return unigramDocument(model, settings);
  throw new IngotError(
    'unsupported',
    `${file}: a SentencePiece model of words or characters (kind ${model.kind}) is not supported; ${asJson}`,
    { details: { file, kind: model.kind } },
  );
}

/** How to get a tokenizer.json. */
export const asJson =
  'make a tokenizer.json with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER), or use token ids';

interface PieceModel extends UnigramPieces {
  readonly kind: number;
  readonly bosId: number;
  readonly eosId: number;
}

/** The scores of a BPE model are the order of its merges, as in GGUF files, whose reader makes merges of them. */
function bpeDocument(model: PieceModel, file: string, { addBos, addEos }: PieceSettings): Json {
  const { pieces, scores, types, unkId, bosId, eosId, addPrefix, byteFallback } = model;
  const keys = new Map<string, unknown>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', [...pieces]],
    ['tokenizer.ggml.scores', scores],
    ['tokenizer.ggml.token_type', types],
    ['tokenizer.ggml.unknown_token_id', unkId],
    ['tokenizer.ggml.bos_token_id', bosId],
    ['tokenizer.ggml.eos_token_id', eosId],
    ['tokenizer.ggml.add_space_prefix', addPrefix],
    ['tokenizer.ggml.add_bos_token', addBos ?? true],
    ['tokenizer.ggml.add_eos_token', addEos ?? false],
  ]);
  const made = tokenizerFiles(keys, file)?.tokenizer as Made;
  return {
    ...made,
    normalizer: { type: 'Sequence', normalizers: [...normalizersOf(model), made.normalizer] },
    model: { ...made.model, byte_fallback: byteFallback },
  };
}

interface Made {
  readonly normalizer: object;
  readonly model: object;
}

function unigramDocument(model: PieceModel, { addBos, addEos }: PieceSettings): Json {
  const { pieces, bosId, eosId } = model;
  const special = (id: number) => ({ SpecialToken: { id: pieces[id], type_id: 0 } });
  const single = [
    ...((addBos ?? false) && pieces[bosId] !== undefined ? [special(bosId)] : []),
    { Sequence: { id: 'A', type_id: 0 } },
    ...((addEos ?? true) && pieces[eosId] !== undefined ? [special(eosId)] : []),
  ];
  const processor = { type: 'TemplateProcessing', single, pair: single };
  return { ...unigramSpec(model), post_processor: single.length > 1 ? processor : null };
}

function readModel(bytes: Uint8Array, file: string): PieceModel {
  const pieces: string[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  const model = {
    kind: unigram,
    byteFallback: false,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    charsmap: new Uint8Array(0),
    addPrefix: true,
    removeSpaces: true,
  };
  if (/^[\w+/=]+ \d+\n/.test(latin1.decode(bytes.subarray(0, 200)))) {
    throw new IngotError('unsupported', `${file}: is a list of tiktoken, which is not supported; ${asJson}`);
  }
  for (const { field, value } of fields(bytes, file)) {
    if (field === 1) {
      const piece = readPiece(bytesOf(value, file), file);
      pieces.push(piece.text);
      scores.push(piece.score);
      types.push(piece.type);
    } else if (field === 2) {
      for (const each of fields(bytesOf(value, file), file)) {
        if (each.field === 3) model.kind = Number(each.value);
        else if (each.field === 35) model.byteFallback = each.value === 1;
        else if (each.field === 40) model.unkId = idOf(each.value);
        else if (each.field === 41) model.bosId = idOf(each.value);
        else if (each.field === 42) model.eosId = idOf(each.value);
      }
    } else if (field === 3) {
      for (const each of fields(bytesOf(value, file), file)) {
        if (each.field === 2) model.charsmap = new Uint8Array(bytesOf(each.value, file));
        else if (each.field === 3) model.addPrefix = each.value === 1;
        else if (each.field === 4) model.removeSpaces = each.value === 1;
      }
    }
  }
  if (pieces.length === 0)
    throw new FileFormatError(file, 'pieces', 'are missing: it is no SentencePiece model');
  return { pieces, scores, types, ...model };
}

/** A number of 64 bits that stands for a negative one is no id. */
const idOf = (value: Value): number => (typeof value === 'number' && value < 2 ** 31 ? value : -1);

function readPiece(bytes: Uint8Array, file: string): { text: string; score: number; type: number } {
  const piece = { text: '', score: 0, type: 1 };
  for (const { field, value } of fields(bytes, file)) {
    if (field === 1) piece.text = textOf(bytesOf(value, file), file);
    else if (field === 2 && typeof value !== 'number') {
      piece.score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
    } else if (field === 3) piece.type = Number(value);
  }
  return piece;
}

function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FileFormatError(file, 'piece', 'is not UTF-8', { cause });
  }
}

/** A number, or the bytes of a text, of a message, or of a number of four or eight bytes. */
type Value = number | Uint8Array;

function bytesOf(value: Value, file: string): Uint8Array {
  if (typeof value !== 'number') return value;
  throw new FileFormatError(file, 'field', 'is a number where a message must be');
}

/** The fields of a message of protocol buffers. https://protobuf.dev/programming-guides/encoding */
function* fields(
  bytes: Uint8Array,
  file: string,
): Generator<{ readonly field: number; readonly value: Value }> {
  let at = 0;
  const fail = (problem: string): never => {
    throw new FileFormatError(file, 'message', problem, { offset: at });
  };
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++] ?? fail('ends within a number');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return fail('has a number of more than 64 bits');
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) fail(`ends within ${length} bytes of a field`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = number();
    const kind = key % 8;
    const field = Math.floor(key / 8);
    if (field === 0) fail('has a field of number 0');
    if (kind === 0) yield { field, value: number() };
    else if (kind === 1) yield { field, value: take(8) };
    else if (kind === 2) yield { field, value: take(number()) };
    else if (kind === 5) yield { field, value: take(4) };
    else fail(`has a field of the unknown kind ${kind}`);
  }
}
