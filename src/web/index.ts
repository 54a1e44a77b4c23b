// Entry of `ingot/web`, for browsers: load a model onto the GPU and talk to it, and the array library. Nothing of Node.

export * from '../array/checked/index.ts';
export { type ErrorCode, FileFormatError, IngotError } from '../base/errors.ts';
export type { AnswerEvent } from '../chat/answer.ts';
export type { Message, Role, TextPart, Tool, ToolCall, ToolChoice } from '../chat/messages.ts';
export type { Device } from '../device/device.ts';
export type { BrowserGpuOptions as OpenDeviceOptions } from '../device/webgpu/browser.ts';
export { type AnsweringModel, AnswerStream, answer } from '../engine/answer.ts';
export type * from '../engine/types.ts';
export type { Precision } from '../engine/types.ts';
export type { ConstraintSpec, JsonSchema } from '../generate/guided/spec.ts';
export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from '../tokenizer/tokenizer.ts';
export type { ModelSource } from '../weights/open-web.ts';
export { load, openDevice, type WebLoadOptions } from './load.ts';
