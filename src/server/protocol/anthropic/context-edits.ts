// `context_management` of the Messages API: what is taken out of a long history before the model reads it.
// https://docs.claude.com/en/docs/build-with-claude/context-editing

import { z } from 'zod';
import { RequestError } from '../../problem.ts';
import { optional } from '../zod.ts';
import type { Block } from './blocks.ts';

const amount = z.object({
  type: z.enum(['input_tokens', 'tool_uses', 'thinking_turns']),
  value: z.int().min(0),
});

export const contextManagement = z.object({
  edits: optional(
    z.array(
      z.object({
        type: z.string(),
        trigger: optional(amount),
        keep: optional(z.union([z.literal('all'), amount])),
        clear_at_least: optional(amount),
        exclude_tools: optional(z.array(z.string())),
        clear_tool_inputs: optional(z.union([z.boolean(), z.array(z.string())])),
      }),
    ),
  ),
});
type Edit = NonNullable<z.output<typeof contextManagement>['edits']>[number];

interface Turn {
  readonly role: 'user' | 'assistant' | 'system';
  readonly content: string | readonly Block[];
}

/** Tokens are not known before a template has made a prompt: that many characters are taken for one. */
const charactersPerToken = 4;
/** As the API documents them. */
const defaultTrigger = { type: 'input_tokens', value: 100_000 } as const;
const keptToolUses = 3;
const cleared = '[cleared to make room]';

/** The turns after all edits. Throws RequestError that names an edit which is not known. */
export function edited<T extends Turn>(turns: readonly T[], edits: readonly Edit[] = []): readonly T[] {
  return edits.reduce<readonly T[]>((left, edit, i) => {
    if (edit.type === 'clear_tool_uses_20250919') return withoutToolUses(left, edit);
    if (edit.type === 'clear_thinking_20251015') return withoutThinking(left, edit);
    const param = `context_management.edits[${i}].type`;
    throw new RequestError('invalid', `${param}: "${edit.type}" is not supported`, { param });
  }, turns);
}

const blocksOf = ({ content }: Turn): readonly Block[] => (typeof content === 'string' ? [] : content);

const sizeOf = (value: unknown): number =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).length / charactersPerToken;

function withoutToolUses<T extends Turn>(turns: readonly T[], edit: Edit): readonly T[] {
  const { trigger = defaultTrigger, keep, exclude_tools: excluded = [], clear_tool_inputs: inputs } = edit;
  const uses = turns.flatMap((turn) => blocksOf(turn).filter(({ type }) => type === 'tool_use'));
  const size =
    trigger.type === 'tool_uses' ? uses.length : turns.reduce((sum, { content }) => sum + sizeOf(content), 0);
  if (size <= trigger.value) return turns;
  const kept = keep === 'all' ? uses.length : (keep?.value ?? keptToolUses);
  const old = uses
    .slice(0, Math.max(0, uses.length - kept))
    .filter(({ name = '' }) => !excluded.includes(name));
  const names = new Map(old.map(({ id, name = '' }) => [id, name]));
  const result = mapped(turns, (each) => {
    if (each.type === 'tool_result' && names.has(each.tool_use_id)) return { ...each, content: cleared };
    const clears = inputs === true || (Array.isArray(inputs) && inputs.includes(each.name ?? ''));
    return each.type === 'tool_use' && names.has(each.id) && clears ? { ...each, input: {} } : each;
  });
  if (edit.clear_at_least === undefined) return result;
  const freed = turns.reduce((sum, turn, i) => sum + sizeOf(turn.content) - sizeOf(result[i]?.content), 0);
  return freed < edit.clear_at_least.value ? turns : result;
}

/** Thinking of all turns but the last few that have some. */
function withoutThinking<T extends Turn>(turns: readonly T[], { keep }: Edit): readonly T[] {
  const isThinking = ({ type }: Block): boolean => type === 'thinking' || type === 'redacted_thinking';
  const thoughtful = turns.filter((turn) => blocksOf(turn).some(isThinking));
  const kept = keep === 'all' ? thoughtful.length : (keep?.value ?? 1);
  const old = new Set(thoughtful.slice(0, Math.max(0, thoughtful.length - kept)));
  return mapped(turns, (each, turn) => (old.has(turn) && isThinking(each) ? undefined : each));
}

const mapped = <T extends Turn>(
  turns: readonly T[],
  change: (block: Block, turn: T) => Block | undefined,
): readonly T[] =>
  turns.map((turn) =>
    typeof turn.content === 'string'
      ? turn
      : {
          ...turn,
          content: turn.content.map((each) => change(each, turn)).filter((each) => each !== undefined),
        },
  );
