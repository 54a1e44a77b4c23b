// Entry of the package: load a model, talk to it.

export { type ErrorCode, FileFormatError, IngotError } from './base/errors.ts';
export type { Message, Role, Tool, ToolCall } from './chat/messages.ts';
export { load } from './engine/load.ts';
export type * from './engine/types.ts';
export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from './tokenizer/tokenizer.ts';
