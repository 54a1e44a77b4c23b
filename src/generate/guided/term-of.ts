// From a spec to the term it stands for, with a pause where that takes long.

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, character } from './code-points.ts';
import { grammarText } from './ebnf.ts';
import { anyObject } from './json-text.ts';
import type { Patience } from './patience.ts';
import { wholeMatch } from './pattern.ts';
import { SchemaReader } from './schema.ts';
import { SchemaDocument } from './schema-document.ts';
import type { ConstraintSpec, JsonSchema } from './spec.ts';
import { alt, both, literal, not, oneOfMany, repeat, seq, type Term } from './term.ts';

const anyText = repeat(character(anyCodePoint));

type Making = Generator<void, Term, void>;

/** Throws unsupported or invalid_argument, naming the place, for what cannot be followed. */
export function* termOf(spec: ConstraintSpec, patience: Patience): Making {
  switch (spec.kind) {
    case 'json_object':
      return anyObject;
    case 'json_schema':
      try {
        const reader = yield* readerOf(spec.schema, spec.strict ?? false, patience);
        yield* reader.read();
        return reader.text;
      } catch (error) {
        if (spec.mayBeAnyObject && error instanceof IngotError) return anyObject;
        throw error;
      }
    case 'string_schema':
      return yield* (yield* readerOf(spec.schema, false, patience)).readPlainString();
    case 'regex':
      return wholeMatch(spec.pattern, character);
    case 'ebnf':
      return yield* grammarText(spec.grammar, spec.root);
    case 'choice':
      if (spec.choices.length === 0) throw new IngotError('invalid_argument', 'a choice of no texts');
      return yield* oneOfMany(spec.choices, patience);
    case 'literal':
      return yield* oneOfMany([spec.text], patience);
    case 'text':
      return textWithout(spec.without);
    case 'sequence':
      return seq(...(yield* all(spec.parts, patience)));
    case 'any_of':
      return alt(...(yield* all(spec.options, patience)));
    case 'repeat':
      return repeat(yield* termOf(spec.part, patience), spec.min, spec.max);
    default:
      throw new IngotError(
        'invalid_argument',
        `there is no constraint of kind ${JSON.stringify((spec satisfies never as { kind: unknown }).kind)}`,
      );
  }
}

function* all(specs: readonly ConstraintSpec[], patience: Patience): Generator<void, readonly Term[], void> {
  const terms: Term[] = [];
  for (const spec of specs) terms.push(yield* termOf(spec, patience));
  return terms;
}

function* readerOf(
  schema: JsonSchema,
  strict: boolean,
  patience: Patience,
): Generator<void, SchemaReader, void> {
  return new SchemaReader(yield* SchemaDocument.read(schema), strict, patience);
}

function textWithout(texts: readonly string[]): Term {
  if (texts.length === 0) return anyText;
  return both(anyText, not(seq(anyText, alt(...texts.map(literal)), anyText)));
}
