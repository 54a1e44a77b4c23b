// Tools for models whose template does not know all of them: told in the system message, calls and results as texts.

import type { PromptMessage, Tool, ToolCall } from './messages.ts';
import { argumentText, textOf } from './normalise.ts';

/** A call that was made. */
export type WrittenCall = ToolCall['function'];

/** The words for tools of a model whose template has none. */
export interface ToolTexts {
  /** Which tools there are and how to call them. */
  instructions(tools: readonly Tool[]): string;
  /** Calls that an answer made. */
  calls(calls: readonly WrittenCall[]): string;
  /** What a call brought. */
  result(text: string): string;
}

export const hermesTexts: ToolTexts = {
  instructions: (tools) => `You can call these functions; each is described by a JSON object on a line:
<tools>
${tools.map((tool) => JSON.stringify(tool)).join('\n')}
</tools>
To call a function, write its name and arguments as JSON between tags, and nothing after them:
<tool_call>
{"name": "function_name", "arguments": {"argument": "value"}}
</tool_call>`,
  calls: (calls) =>
    calls
      .map(
        ({ name, arguments: args }) =>
          `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${argumentText(args)}}\n</tool_call>`,
      )
      .join('\n'),
  result: (text) => `<tool_response>\n${text}\n</tool_response>`,
};

/** `messages` in which tools, calls and results are text. */
export function withToolPrompt(
  messages: readonly PromptMessage[],
  tools: readonly Tool[],
  texts: ToolTexts = hermesTexts,
): readonly PromptMessage[] {
  const written = resultsAsText(withCallTexts(messages, texts.calls), texts);
  if (tools.length === 0) return written;
  const at = written.findIndex(({ role }) => role === 'system' || role === 'developer');
  const system = written[at];
  const content = [...(system ? [textOf(system.content)] : []), texts.instructions(tools)].join('\n\n');
  if (!system) return [{ role: 'system', content }, ...written];
  return written.map((message, i) => (i === at ? { ...message, content } : message));
}

/** `messages` in which calls are part of the answer's text. */
export function withCallTexts(
  messages: readonly PromptMessage[],
  texts: (calls: readonly WrittenCall[]) => string,
): readonly PromptMessage[] {
  return messages.map((message) => {
    const { tool_calls: calls, ...rest } = message;
    if (!calls || calls.length === 0) return message;
    const made = texts(calls.map(({ function: call }) => call));
    return { ...rest, content: [textOf(message.content), made].filter((text) => text !== '').join('\n') };
  });
}

/** Results as the user's turn, all of one answer in one, with what the user says next: many templates want turns to alternate. */
function resultsAsText(messages: readonly PromptMessage[], texts: ToolTexts): readonly PromptMessage[] {
  const made: PromptMessage[] = [];
  let joins = false;
  for (const message of messages) {
    const isResult = message.role === 'tool';
    const text = isResult ? texts.result(textOf(message.content)) : textOf(message.content);
    const last = made.at(-1);
    if (joins && last && (isResult || message.role === 'user')) {
      made[made.length - 1] = { ...last, content: `${textOf(last.content)}\n${text}` };
    } else made.push(isResult ? { role: 'user', content: text } : message);
    joins = isResult;
  }
  return made;
}
