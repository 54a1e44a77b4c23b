// Entry of the package: load a model, talk to it.

export { type ErrorCode, FileFormatError, IngotError } from './base/errors.ts';
export type { AnswerEvent } from './chat/answer.ts';
export type { Message, Role, TextPart, Tool, ToolCall, ToolChoice } from './chat/messages.ts';
export { type AnsweringModel, AnswerStream, answer } from './engine/answer.ts';
export { load } from './engine/load.ts';
export type * from './engine/types.ts';
export type { ConstraintSpec, JsonSchema } from './generate/guided/spec.ts';
export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from './tokenizer/tokenizer.ts';
