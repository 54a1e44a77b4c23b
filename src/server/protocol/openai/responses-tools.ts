// Tools of the Responses API: functions, functions in namespaces, and tools that take a text. A model knows functions only, so each
// gets a name of its own, and what the model calls is told in the words it was offered in.

import { z } from 'zod';
import type { Tool } from '../../../chat/messages.ts';
import { RequestError } from '../../problem.ts';
import { inputOf, refuseTool, toolOf } from '../fields.ts';
import { object, optional } from '../zod.ts';

const named = z.object({
  type: z.string(),
  name: optional(z.string()),
  description: optional(z.string()),
  parameters: optional(object),
  strict: optional(z.boolean()),
  /** Of a tool that takes a text: its grammar, if it has one. */
  format: optional(
    z.object({ type: z.string(), syntax: optional(z.string()), definition: optional(z.string()) }),
  ),
});

export const responseTools = z.array(named.extend({ tools: optional(z.array(named)) }));

type NamedTool = z.output<typeof named>;
type GivenTool = z.output<typeof responseTools>[number];

/** How a tool was offered. */
export interface OfferedTool {
  readonly kind: 'function' | 'custom';
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Tools of the service, or of agents themselves, that are offered with every request and that a model does without. */
const dispensable = /^(web_search|image_generation|tool_search|local_shell)/;

/** A name that no other namespace has. */
export const flatName = (name: string, namespace: string | undefined): string =>
  namespace === undefined ? name : `${namespace}${namespace.endsWith('__') ? '' : '__'}${name}`;

export class ResponseTools {
  readonly tools: Tool[] = [];
  readonly #offered = new Map<string, OfferedTool>();

  /** Throws RequestError for a tool that a model could not use. */
  constructor(given: readonly GivenTool[]) {
    for (const [i, tool] of given.entries()) {
      const param = `tools[${i}]`;
      if (tool.type !== 'namespace') this.#add(tool, undefined, param);
      else
        for (const [j, inner] of (tool.tools ?? []).entries())
          this.#add(inner, tool.name, `${param}.tools[${j}]`);
    }
  }

  /** How the function that a model called was offered. */
  offered(name: string): OfferedTool {
    return this.#offered.get(name) ?? { kind: 'function', name, namespace: undefined };
  }

  #add(tool: NamedTool, namespace: string | undefined, param: string): void {
    const { type, name, description, parameters, strict } = tool;
    if (type !== 'function' && type !== 'custom') {
      if (!dispensable.test(type)) refuseTool(type, param);
      return;
    }
    if (name === undefined)
      throw new RequestError('invalid', `${param}.name: is missing`, { param: `${param}.name` });
    const flat = flatName(name, namespace);
    if (this.#offered.has(flat))
      throw new RequestError('invalid', `${param}.name: "${flat}" is there twice`, { param });
    this.#offered.set(flat, { kind: type, name, namespace });
    this.tools.push(
      type === 'function'
        ? toolOf({ name: flat, description, parameters, strict })
        : toolOf({ name: flat, description: describeText(tool), parameters: textInput(tool), strict: true }),
    );
  }
}

/** Of a text with a grammar, a regular expression is held; the Lark grammars of that API are only told to the model. */
const textInput = ({ format }: NamedTool) => ({
  type: 'object',
  properties: {
    input: {
      type: 'string',
      ...(format?.syntax === 'regex' ? { pattern: `^(?:${format.definition ?? ''})$` } : {}),
    },
  },
  required: ['input'],
  additionalProperties: false,
});

/** A model is told the grammar of a text. */
function describeText({ description = '', format }: NamedTool): string {
  if (format?.definition === undefined) return description;
  return `${description}\nThe input follows this ${format.syntax ?? ''} grammar:\n${format.definition}`.trim();
}

/** The text in the arguments of a tool that takes one; arguments that are cut off are told as they are. */
export function textOfInput(json: string): string {
  const { input } = inputOf(json) as { readonly input?: unknown };
  return typeof input === 'string' ? input : json;
}
