// Tool calls as events.

import type { Tool } from './messages.ts';
import type { Reader } from './reader.ts';

export class Calls {
  readonly #reader: Reader;
  readonly #newId: () => string;
  readonly #tools: readonly Tool[];
  count = 0;

  constructor(reader: Reader, tools: readonly Tool[], newId: () => string) {
    this.#reader = reader;
    this.#tools = tools;
    this.#newId = newId;
  }

  has(name: string): boolean {
    return this.#tools.some((tool) => tool.function.name === name);
  }

  /** Begins a call; what it returns takes the pieces of its arguments. */
  begin(name: string): (json: string) => void {
    const index = this.count++;
    this.#reader.dropSpace();
    this.#reader.emit({ kind: 'toolCall', index, id: this.#newId(), name });
    return (json) => {
      if (json !== '') this.#reader.emit({ kind: 'toolArguments', index, json });
    };
  }

  /** The name of a parameter by its place in the schema. */
  parameterAt(name: string, index: number): string | undefined {
    const tool = this.#tools.find((each) => each.function.name === name);
    return Object.keys(tool?.function.parameters?.properties ?? {})[index];
  }

  /** What the schema of an argument says of its type; undefined when it does not. */
  typesOf(name: string, argument: string): readonly string[] | undefined {
    const tool = this.#tools.find((each) => each.function.name === name);
    const properties = tool?.function.parameters?.properties as
      | Record<string, { type?: unknown }>
      | undefined;
    const type = properties && Object.hasOwn(properties, argument) ? properties[argument]?.type : undefined;
    return type === undefined ? undefined : [type].flat().map(String);
  }
}
