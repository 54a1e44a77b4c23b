// Which files of a repository make one model.

import { IngotError } from '../base/errors.ts';

/** A GGUF file (all parts of it, first part first), or the files of a folder model. */
export interface Choice {
  readonly kind: 'gguf' | 'folder';
  readonly files: readonly string[];
}

const preferred = ['q4_k_m', 'q4_0', 'q4_1', 'q8_0', 'q6_k', 'bf16', 'f16', 'f32'];
const partForm = /-(\d{5})-of-(\d{5})\.gguf$/;
const small =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|chat_template|.*\.safetensors\.index)\.json$|^chat_template\.jinja$/;

/** The tokenizer where there is no tokenizer.json. */
const pieces = /^(tokenizer|spiece|sentencepiece\.bpe)\.model$|^added_tokens\.json$/;

/**
 * Chooses from the names of a repository's files. `wanted` is a file name or a quantisation; without it a folder of safetensors
 * comes first, then the most useful GGUF. Throws not_found with what there is.
 */
export function chooseFiles(names: readonly string[], wanted: string | undefined, repo: string): Choice {
  const ggufs = names.filter((name) => name.toLowerCase().endsWith('.gguf') && !/(^|\/)mmproj/i.test(name));
  if (wanted !== undefined) {
    const found = ggufs.find((name) => name === wanted) ?? ggufs.find((name) => hasQuant(name, wanted));
    if (found) return { kind: 'gguf', files: partsOf(found, ggufs, repo) };
    throw new IngotError(
      'not_found',
      `${repo} has no ${wanted}; it has ${ggufs.join(', ') || 'no GGUF files'}`,
      {
        details: { repo, wanted },
      },
    );
  }
  const tensors = names.filter((name) => /^(?!consolidated)[^/]*\.safetensors$/.test(name));
  if (tensors.length > 0 && names.includes('config.json')) {
    const tokenizer = names.includes('tokenizer.json') ? [] : names.filter((name) => pieces.test(name));
    return { kind: 'folder', files: [...names.filter((name) => small.test(name)), ...tokenizer, ...tensors] };
  }
  const quant = preferred.find((each) => ggufs.some((name) => hasQuant(name, each)));
  const best = ggufs.find((name) => quant !== undefined && hasQuant(name, quant)) ?? ggufs[0];
  if (best) return { kind: 'gguf', files: partsOf(best, ggufs, repo) };
  throw new IngotError('not_found', `${repo} has neither GGUF files nor safetensors with a config.json`, {
    details: { repo },
  });
}

/** Whether a file name carries this quantisation: `Model.Q4_0.gguf`, `model-q4_0-00001-of-00002.gguf`, `Q4_0/...`. */
function hasQuant(name: string, quant: string): boolean {
  const escaped = quant.toLowerCase().replace(/[^a-z0-9_]/g, '\\$&');
  return new RegExp(`(^|[-./_])${escaped}([-./])`).test(name.toLowerCase());
}

function partsOf(name: string, ggufs: readonly string[], repo: string): string[] {
  const match = partForm.exec(name);
  if (!match) return [name];
  const stem = name.slice(0, match.index);
  const parts = ggufs
    .filter((each) => each.startsWith(`${stem}-`) && partForm.exec(each)?.[2] === match[2])
    .sort();
  if (parts.length === Number(match[2])) return parts;
  throw new IngotError('not_found', `${repo}: ${stem} has ${parts.length} of ${Number(match[2])} parts`, {
    details: { repo },
  });
}
