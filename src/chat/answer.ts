// What an answer consists of while it streams: text, reasoning, tool calls. Parsers of the models' own formats make
// these events; they are total: whatever a model writes becomes events, and never an exception.

export type AnswerEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** Call number `index` begins; its arguments follow as pieces of one JSON text. */
  | { readonly kind: 'toolCall'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly kind: 'toolArguments'; readonly index: number; readonly json: string };

export interface AnswerParser {
  /** Events that the next piece of the model's text completes; text that may yet be markup is held back. */
  push(text: string): readonly AnswerEvent[];
  /** What was held back, when the text is over. */
  end(): readonly AnswerEvent[];
}
