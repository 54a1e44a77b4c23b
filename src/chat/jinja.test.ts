// Expressions and constructs of templates as Jinja2 renders them: tools/goldens/jinja.py.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { JinjaTemplate } from './jinja/environment.ts';

type Outcome = { readonly text: string } | { readonly error: string };

interface Golden {
  readonly variables: Readonly<Record<string, unknown>>;
  readonly now: readonly [number, number, number, number, number, number, number];
  readonly expressions: readonly (readonly [string, Outcome])[];
  /** Variables of each conversation. */
  readonly conversations: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly families: Readonly<
    Record<string, { readonly source: string; readonly results: Readonly<Record<string, Outcome>> }>
  >;
  readonly templates: readonly (readonly [string, string, Outcome])[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/chat/jinja.json', import.meta.url), 'utf8'),
) as Golden;

function render(source: string, variables = golden.variables): Outcome {
  try {
    return { text: new JinjaTemplate(source).render(variables, () => new Date(...golden.now)) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

describe('expressions', () => {
  test.each(golden.expressions)('%s', (expression, want) => {
    const got = render(`{{ ${expression} }}`);
    expect('error' in want ? { error: 'error' in got } : got).toEqual(
      'error' in want ? { error: true } : want,
    );
  });
});

describe('constructs', () => {
  test.each(golden.templates)('%s', (_, source, want) => {
    const got = render(source);
    expect('error' in want ? { error: 'error' in got } : got).toEqual(
      'error' in want ? { error: true } : want,
    );
  });
});

const defaults = {
  tools: null,
  documents: null,
  add_generation_prompt: true,
  bos_token: '<s>',
  eos_token: '</s>',
};

describe('templates of model families', () => {
  test.each(Object.entries(golden.families))('%s', (_, { source, results }) => {
    for (const [name, want] of Object.entries(results)) {
      const got = render(source, { ...defaults, ...golden.conversations[name] });
      // What a template raises is told in its own words; messages of Python are not.
      const shown =
        'error' in want && !source.includes(want.error)
          ? { error: 'error' in got ? want.error : 'none' }
          : got;
      expect({ [name]: shown }).toEqual({ [name]: want });
    }
  });
});
