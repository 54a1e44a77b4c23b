// From the AI SDK's prompts, tools and settings to Ingot's. https://ai-sdk.dev/providers/community-providers/custom-providers

import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Message,
  LanguageModelV3ToolResultPart,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { IngotError } from '../base/errors.ts';
import type { Message, Tool, ToolCall, ToolChoice } from '../chat/messages.ts';
import type { ChatOptions } from '../engine/types.ts';
import type { ConstraintSpec, JsonSchema } from '../generate/guided/spec.ts';

export interface Request {
  readonly messages: readonly Message[];
  readonly options: ChatOptions;
  readonly warnings: SharedV3Warning[];
}

/** Throws IngotError `unsupported` for content that is no text. */
export function requestOf(call: LanguageModelV3CallOptions): Request {
  const warnings: SharedV3Warning[] = [];
  const tools = (call.tools ?? []).flatMap((tool): Tool[] => {
    if (tool.type === 'function') {
      const { name, description, strict, inputSchema } = tool;
      const parameters = inputSchema as Readonly<Record<string, unknown>>;
      return [{ type: 'function', function: { name, description, parameters, strict } }];
    }
    warnings.push({ type: 'unsupported', feature: `tool ${tool.name} of a provider` });
    return [];
  });
  const { thinking } = call.providerOptions?.ingot ?? {};
  return {
    messages: call.prompt.flatMap(messagesOf),
    warnings,
    options: {
      maxTokens: call.maxOutputTokens,
      temperature: call.temperature,
      topP: call.topP,
      topK: call.topK,
      presencePenalty: call.presencePenalty,
      frequencyPenalty: call.frequencyPenalty,
      seed: call.seed,
      stop: call.stopSequences,
      signal: call.abortSignal,
      tools,
      toolChoice: choiceOf(call.toolChoice),
      responseFormat: formatOf(call.responseFormat),
      thinking: typeof thinking === 'boolean' ? thinking : undefined,
    },
  };
}

function choiceOf(choice: LanguageModelV3CallOptions['toolChoice']): ToolChoice {
  if (choice === undefined) return 'auto';
  return choice.type === 'tool' ? { name: choice.toolName } : choice.type;
}

function formatOf(format: LanguageModelV3CallOptions['responseFormat']): ConstraintSpec | undefined {
  if (format?.type !== 'json') return undefined;
  if (format.schema === undefined) return { kind: 'json_object' };
  return { kind: 'json_schema', schema: format.schema as JsonSchema };
}

function messagesOf(message: LanguageModelV3Message): Message[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: message.content.map(textOf).join('') }];
    case 'assistant':
      return [assistantOf(message.content)];
    case 'tool':
      return message.content.flatMap((part) => (part.type === 'tool-result' ? [resultOf(part)] : []));
  }
}

function textOf(part: {
  readonly type: string;
  readonly text?: string;
  readonly mediaType?: string;
}): string {
  if (part.type === 'text') return part.text ?? '';
  throw new IngotError(
    'unsupported',
    `a message holds ${part.mediaType ?? part.type}: only text can be answered`,
  );
}

function assistantOf(content: (LanguageModelV3Message & { role: 'assistant' })['content']): Message {
  let text = '';
  let reasoning = '';
  const calls: ToolCall[] = [];
  for (const part of content) {
    if (part.type === 'reasoning') reasoning += part.text;
    else if (part.type === 'tool-call') {
      const input = part.input as Readonly<Record<string, unknown>> | string;
      calls.push({
        id: part.toolCallId,
        type: 'function',
        function: { name: part.toolName, arguments: input },
      });
    } else if (part.type !== 'tool-result') text += textOf(part);
  }
  return {
    role: 'assistant',
    content: text,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function resultOf({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart): Message {
  return { role: 'tool', tool_call_id: toolCallId, name: toolName, content: outputText(output) };
}

function outputText(output: LanguageModelV3ToolResultPart['output']): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return `The call was not allowed${output.reason === undefined ? '.' : `: ${output.reason}`}`;
    case 'content':
      return output.value.map(textOf).join('');
  }
}
