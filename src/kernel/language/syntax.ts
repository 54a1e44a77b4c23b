// The tree of a kernel source. Places are offsets into the text, for messages.

export type Syntax =
  | { readonly node: 'number'; readonly text: string; readonly at: number }
  | { readonly node: 'truth'; readonly value: boolean; readonly at: number }
  | { readonly node: 'name'; readonly name: string; readonly at: number }
  | { readonly node: 'unary'; readonly sign: string; readonly x: Syntax; readonly at: number }
  | {
      readonly node: 'binary';
      readonly sign: string;
      readonly a: Syntax;
      readonly b: Syntax;
      /** Place of the sign. */
      readonly at: number;
    }
  | {
      readonly node: 'choice';
      readonly condition: Syntax;
      readonly yes: Syntax;
      readonly no: Syntax;
      readonly at: number;
    }
  | {
      readonly node: 'call';
      readonly name: string;
      readonly args: readonly Syntax[];
      readonly at: number;
    };

/** `let name = value;` */
export interface Binding {
  readonly name: string;
  readonly value: Syntax;
  readonly at: number;
}

/** `fn name(params) = body;`: calls are replaced by the body. */
export interface Helper {
  readonly name: string;
  readonly params: readonly string[];
  readonly body: Syntax;
  readonly at: number;
}

export interface ParsedKernel {
  readonly bindings: readonly Binding[];
  readonly helpers: ReadonlyMap<string, Helper>;
  /** One result without a name, or results by name. */
  readonly results: readonly { readonly name: string | undefined; readonly value: Syntax }[];
}
