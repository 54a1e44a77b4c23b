// From a spec to a constraint of sampling. Grammars are kept per tokenizer, so that a schema is read once.

import { IngotError } from '../../base/errors.ts';
import type { TokenConstraint } from '../constraint.ts';
import type { ConstraintSpec } from './spec.ts';

/** What a grammar must know of a vocabulary; a Tokenizer fits. */
export interface ConstraintVocabulary {
  readonly vocabSize: number;
  /** Ids that end a text; allowed where the grammar may end, and nowhere else. */
  readonly eosIds: readonly number[];
  readonly specialIds: ReadonlySet<number>;
  bytesOf(id: number): Uint8Array;
}

export interface ConstraintOptions {
  /** Special tokens that spell a part of the text, such as the marker of a tool call. All others are never allowed. */
  readonly keep?: ReadonlySet<number> | undefined;
}

/**
 * A fresh constraint of one generation.
 * @throws IngotError `unsupported` for a schema keyword or a part of a pattern that cannot be followed, with its path;
 *   `invalid_argument` for one that is wrong.
 */
export async function compileConstraint(
  spec: ConstraintSpec,
  _vocabulary: ConstraintVocabulary,
  _options: ConstraintOptions = {},
): Promise<TokenConstraint> {
  throw new IngotError('unsupported', `constraints of kind ${spec.kind} come with the next commit`);
}
