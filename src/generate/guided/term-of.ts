// From a spec to the term it stands for.

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, character } from './code-points.ts';
import { grammarText } from './ebnf.ts';
import { anyObject } from './json-text.ts';
import { wholeMatch } from './regex.ts';
import { plainStringText, schemaText } from './schema.ts';
import type { ConstraintSpec } from './spec.ts';
import { alt, both, literal, not, repeat, seq, type Term } from './term.ts';

const anyText = repeat(character(anyCodePoint));

/** Throws unsupported or invalid_argument, naming the place, for what cannot be followed. */
export function termOf(spec: ConstraintSpec): Term {
  switch (spec.kind) {
    case 'json_object':
      return anyObject;
    case 'json_schema':
      return schemaText(spec.schema);
    case 'string_schema':
      return plainStringText(spec.schema);
    case 'regex':
      return wholeMatch(spec.pattern, character);
    case 'ebnf':
      return grammarText(spec.grammar, spec.root);
    case 'choice':
      if (spec.choices.length === 0) throw new IngotError('invalid_argument', 'a choice of no texts');
      return alt(...spec.choices.map(literal));
    case 'literal':
      return literal(spec.text);
    case 'text':
      return textWithout(spec.without);
    case 'sequence':
      return seq(...spec.parts.map(termOf));
    case 'any_of':
      return alt(...spec.options.map(termOf));
    case 'repeat':
      return repeat(termOf(spec.part), spec.min, spec.max);
    default:
      throw new IngotError(
        'invalid_argument',
        `there is no constraint of kind ${JSON.stringify((spec satisfies never as { kind: unknown }).kind)}`,
      );
  }
}

function textWithout(texts: readonly string[]): Term {
  if (texts.length === 0) return anyText;
  return both(anyText, not(seq(anyText, alt(...texts.map(literal)), anyText)));
}
