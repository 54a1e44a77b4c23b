// Tools for models whose template knows none: told in the system message, with calls and results as texts.

import type { Message, Tool } from './messages.ts';
import { argumentText, textOf } from './normalise.ts';

/** `messages` in which tools, calls and results are text in the Hermes form. */
export function withToolPrompt(messages: readonly Message[], tools: readonly Tool[]): readonly Message[] {
  const written = messages.map(asText);
  if (tools.length === 0) return written;
  const at = written.findIndex(({ role }) => role === 'system' || role === 'developer');
  const system = written[at];
  const content = [...(system ? [textOf(system.content)] : []), instructions(tools)].join('\n\n');
  if (!system) return [{ role: 'system', content }, ...written];
  return written.map((message, i) => (i === at ? { ...message, content } : message));
}

const instructions = (tools: readonly Tool[]): string =>
  `You can call these functions; each is described by a JSON object on a line:
<tools>
${tools.map((tool) => JSON.stringify(tool)).join('\n')}
</tools>
To call a function, write its name and arguments as JSON between tags, and nothing after them:
<tool_call>
{"name": "function_name", "arguments": {"argument": "value"}}
</tool_call>`;

function asText(message: Message): Message {
  if (message.role === 'tool') {
    return { role: 'user', content: `<tool_response>\n${textOf(message.content)}\n</tool_response>` };
  }
  const { tool_calls: calls, ...rest } = message;
  if (!calls || calls.length === 0) return message;
  const texts = calls.map(
    ({ function: { name, arguments: args } }) =>
      `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${argumentText(args)}}\n</tool_call>`,
  );
  return { ...rest, content: [textOf(message.content), ...texts].filter((text) => text !== '').join('\n') };
}
