// A chat template of the caller's in place of the model's own.

import { ChatTemplate } from '../chat/template.ts';
import type { TokenizerSource } from '../tokenizer/open.ts';

/**
 * Where the tokenizer is read from, with `template` in the place where models have theirs; `source` itself without one.
 * @throws IngotError `bad_file` for a template that is not Jinja.
 */
export function withTemplate(source: TokenizerSource, template: string | undefined): TokenizerSource {
  if (template === undefined) return source;
  const bytes = new TextEncoder().encode(new ChatTemplate(template).source);
  const { path, metadata } = source;
  return {
    path,
    metadata: metadata && {
      get: (key) => (key === 'tokenizer.chat_template' ? template : metadata.get(key)),
    },
    readFile: async (name) => (name === 'chat_template.jinja' ? bytes : source.readFile(name)),
  };
}
