// Entry of the package: load a model, talk to it.

export { type ErrorCode, FileFormatError, IngotError } from './base/errors.ts';
export type { AnswerEvent } from './chat/answer.ts';
export type { Message, Role, TextPart, Tool, ToolCall, ToolChoice } from './chat/messages.ts';
export { ChatTemplate, type RenderOptions } from './chat/template.ts';
export { type AnsweringModel, AnswerStream, answer } from './engine/answer.ts';
export { type LocalModel, list, type PullOptions, pull, resolve } from './engine/hub.ts';
export { inspectModel as inspect, type ModelDetails } from './engine/inspect.ts';
export { load } from './engine/load.ts';
export type { SchemaInput, Validator } from './engine/schema-input.ts';
export {
  type AskOptions,
  Session,
  type SessionAnswer,
  type SessionEvent,
  type SessionOptions,
  type SessionTool,
} from './engine/session.ts';
export type * from './engine/types.ts';
export type { ConstraintSpec, JsonSchema } from './generate/guided/spec.ts';
export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from './tokenizer/tokenizer.ts';
