// Blocks of messages of the Anthropic API as texts: a chat template has one text for each message.

import { z } from 'zod';
import { RequestError } from '../../problem.ts';
import { refuseContent } from '../fields.ts';
import { object, optional } from '../zod.ts';

const source = z.object({
  type: z.string(),
  data: optional(z.string()),
  media_type: optional(z.string()),
  content: optional(
    z.union([z.string(), z.array(z.object({ type: z.string(), text: optional(z.string()) }))]),
  ),
});

/** One shape for all blocks that are text in the end; which fields count depends on `type`. */
export const textBlock = z.object({
  type: z.string(),
  text: optional(z.string()),
  title: optional(z.string()),
  context: optional(z.string()),
  /** Of a document, or the address of a search result. */
  source: optional(z.unknown()),
  content: optional(z.unknown()),
  url: optional(z.string()),
});

/** Fields such as cache_control are let through unread. */
export const block = textBlock.extend({
  thinking: optional(z.string()),
  id: optional(z.string()),
  name: optional(z.string()),
  input: optional(object),
  tool_use_id: optional(z.string()),
  content: optional(z.unknown()),
  is_error: optional(z.boolean()),
});

export type TextBlock = { readonly type: string } & Partial<z.output<typeof textBlock>>;
export type Block = z.output<typeof block>;

const blocks = z.array(textBlock);

/** Throws RequestError for blocks that are no text. */
export function textOf(each: TextBlock, param: string): string {
  if (each.type === 'text' && each.text !== undefined) return each.text;
  if (each.type === 'document') return documentText(each, param);
  if (each.type === 'search_result') return titled(each, contentText(each.content, `${param}.content`));
  return refuseContent(each.type, param);
}

/** Content of a result: a text or blocks. Throws RequestError for what is neither. */
export function contentText(content: unknown, param: string): string {
  if (content === undefined || content === null) return '';
  if (typeof content === 'string') return content;
  const read = blocks.safeParse(content);
  if (!read.success) throw new RequestError('invalid', `${param}: must be a text or blocks`, { param });
  return read.data.map((each, i) => textOf(each, `${param}[${i}]`)).join('\n\n');
}

function documentText(each: TextBlock, param: string): string {
  const read = source.safeParse(each.source);
  const from = read.success ? read.data : undefined;
  if (from?.type === 'text' && from.data !== undefined) return titled(each, from.data);
  if (from?.type === 'content') return titled(each, contentText(from.content, `${param}.source`));
  const kind = from ? (from.media_type ?? from.type) : 'an unknown source';
  throw new RequestError(
    'invalid',
    `${param}.source: documents of ${kind} are not supported; this server takes their text`,
    { param: `${param}.source` },
  );
}

/** A text with what is known of it, so that a model can name it. */
function titled({ title, context, source: from, url }: TextBlock, text: string): string {
  const address = url ?? (typeof from === 'string' ? from : undefined);
  const lines = [
    title && `title: ${title}`,
    address && `source: ${address}`,
    context && `context: ${context}`,
  ];
  const head = lines.filter((line) => line !== undefined && line !== '').join('\n');
  return `<document>\n${head === '' ? '' : `${head}\n`}${text}\n</document>`;
}

/** What a tool of another server was asked and answered in an earlier turn: a part of what the assistant said. */
export function serverToolText({ type, name, input, content }: Block): string | undefined {
  if (type === 'server_tool_use' || type === 'mcp_tool_use')
    return `[${name ?? 'tool'} ${JSON.stringify(input ?? {})}]`;
  if (!/_tool_result$/.test(type)) return undefined;
  const results = Array.isArray(content) ? content : [content];
  return results.map((each) => resultLine(each)).join('\n');
}

/** Contents are often encrypted for the service that made them: what can be read is told. */
function resultLine(result: unknown): string {
  const read = textBlock.partial().safeParse(result);
  if (!read.success) return '';
  const { text, title, url } = read.data;
  const said = text ?? [title, url].filter((each) => each !== undefined).join(' ');
  return said === '' ? '[a result that only its service can read]' : `[${said}]`;
}
