// Entry of the package: load a model, talk to it.

export { IngotError, FileFormatError, type ErrorCode } from './base/errors.ts';
export { load } from './engine/load.ts';
export type * from './engine/types.ts';
export type { Message, Role, Tool, ToolCall } from './chat/messages.ts';
export type { EncodeOptions, DecodeOptions, StreamDecoder, Tokenizer } from './tokenizer/tokenizer.ts';
