// The engine's public face as types: what the library exports and all that the CLI knows of a loaded model.

import type { PatternChoice } from '../array/patterns.ts';
import type { CacheKindName, KvBits } from '../cache/kinds.ts';
import type { TierUse } from '../cache/tier-use.ts';
import type { Message, ToolCall } from '../chat/messages.ts';
import type { ChatRequest } from '../chat/prepare.ts';
import type { Eviction } from '../device/expert-stream.ts';
import type { DeviceName } from '../device/open.ts';
import type { TuneResult } from '../device/webgpu/tune.ts';
import type { ExpertStatus } from '../experts/contract.ts';
import type { LayerRouting } from '../experts/routing.ts';
import type { ExpertUse } from '../experts/use.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { GenerateOptions, StopReason } from '../generate/job.ts';
import type { Pooling } from '../generate/passes.ts';
import type { GeneratedToken } from '../generate/runner.ts';
import type { SamplingOptions } from '../generate/sampling.ts';
import type { SchedulerStatus } from '../generate/scheduler.ts';
import type { Precision } from '../models/contract.ts';
import type { ModelModules } from '../nn/model-modules.ts';
import type { PatchTarget, patchTarget } from '../patch/target.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { MemoryDivision } from './residency.ts';
import type { Session, SessionOptions } from './session.ts';

export type { PatternChoice, PatternName } from '../array/patterns.ts';
export type { DeviceName as DeviceChoice } from '../device/open.ts';
export type { TokenConstraint } from '../generate/constraint.ts';
export type { GenerateOptions, StopReason } from '../generate/job.ts';
export type { Pooling } from '../generate/passes.ts';
export type { GeneratedToken } from '../generate/runner.ts';
export type { SamplingOptions } from '../generate/sampling.ts';
export type { SchedulerStatus } from '../generate/scheduler.ts';
export type { Precision } from '../models/contract.ts';

export interface LoadProgress {
  readonly phase: 'download' | 'load';
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** What every conversation with a model begins with, and how it answers, where a call does not say. */
export interface ModelDefaults extends Omit<SamplingOptions, 'logitBias'> {
  /** System message of conversations that have none. */
  readonly system?: string | undefined;
  /** What was said before every conversation. */
  readonly messages?: readonly Message[] | undefined;
  readonly maxTokens?: number | undefined;
  /** Texts that end an answer. */
  readonly stop?: readonly string[] | undefined;
}

/** Where the experts of a model are while it runs; without options in memory if they fit, else streamed. */
export interface ExpertOptions {
  /** `resident`: all in memory. `streamed`: read from the model's file when they are chosen, as many kept as fit. */
  readonly residency?: 'auto' | 'resident' | 'streamed' | undefined;
  /** Bytes of memory for experts; says `streamed`. Default: what `memoryLimit` leaves. */
  readonly bytes?: number | undefined;
  /** Which expert makes room for another: the one not used for longest (default), or the one used least often. */
  readonly eviction?: Eviction | undefined;
  /**
   * Share of all experts, 0 to 1, that are read first and stay: those that routing statistics say are chosen most (`ingot stats`).
   * It is cut to what leaves room for the experts of one token in one layer.
   */
  readonly hot?: number | undefined;
  /** Reads at a time. */
  readonly readers?: number | undefined;
  /**
   * Lossy, 0 to 1: an expert in memory takes the place of a chosen one that would have to be read if the router values it at no
   * less than the other's value minus this share of the other's weight. Default 0: never. Nothing changes where all are in memory.
   */
  readonly preferResident?: number | undefined;
  /**
   * Lossy, 0 to less than 1: chosen experts that would have to be read are left out while together they have at most this share
   * of a token's weight in a layer. Default 0: never.
   */
  readonly dropMisses?: number | undefined;
}

export interface LoadOptions {
  readonly experts?: ExpertOptions | undefined;
  readonly device?: DeviceName | undefined;
  readonly precision?: Precision | undefined;
  /** Tokens a sequence can have. Default: the model's own context, or what memory allows. */
  readonly contextLength?: number | undefined;
  /** Generations that run at a time; more wait their turn. Default 64. */
  readonly maxSequences?: number | undefined;
  /** How keys and values are kept (docs/kv.md). Default `paged`. */
  readonly kv?: CacheKindName | undefined;
  /**
   * What keys and values are stored as: 16, 8 or 4 bits, or rotated with a codebook of 4, 3 or 2 (`turbo4` …). Default: 8 for a `kv` that
   * is quantised, else floats: f16, and f32 for `exact`.
   */
  readonly kvBits?: KvBits | undefined;
  /** Bytes of the KV cache, which all generations share. Default: an eighth of the memory there is, and at least one context. */
  readonly kvBytes?: number | undefined;
  /** Folder for the pages of a `tiered` cache that memory has no room for. Default: /var/tmp, or the system's folder for such files. */
  readonly kvDir?: string | undefined;
  /** First positions that a `rotating` cache keeps, in whole pages of 32. Default 4: a page. */
  readonly kvKeep?: number | undefined;
  /** Bytes of it that prefixes of earlier prompts may keep until they are needed. Default: a gigabyte, and at least one context; 0 keeps none. */
  readonly prefixBytes?: number | undefined;
  /** A folder in which the beginnings of conversations outlive the process: a later one goes on from there. Default: none. */
  readonly prefixDir?: string | undefined;
  /** Bytes of the files in it, over all models: what was used longest ago goes first. Default 8 GB. */
  readonly prefixDirBytes?: number | undefined;
  /** Bytes that weights, KV cache and scratch together may take. */
  readonly memoryLimit?: number | undefined;
  readonly threads?: number | undefined;
  /**
   * The fusions of the model's plans: `{ rope_kv: false }` switches one off, a list has exactly those, `[]` none. Default: what
   * was measured to be best for such a model on such a device.
   */
  readonly patterns?: PatternChoice | undefined;
  /** A chat template in Jinja, in place of the model's own. */
  readonly chatTemplate?: string | undefined;
  readonly defaults?: ModelDefaults | undefined;
  /**
   * Whether kernels are measured when a model is loaded on a GPU where nobody did, in five seconds at most; `onNotice` is told, and the
   * next load knows them. Default true.
   */
  readonly tune?: boolean | undefined;
  /** Records the time of each dispatch for `profile()`; costs a little speed. */
  readonly profile?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** One line about something worth knowing, such as a source that was passed over. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

export type Load = (nameOrPath: string, options?: LoadOptions) => Promise<Model>;

export interface TextOptions extends GenerateOptions {
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
}

export interface CompleteOptions extends TextOptions {
  /** What the text must look like. */
  readonly responseFormat?: ConstraintSpec | undefined;
}

/** What to do with a conversation that does not fit: refuse it, or leave its oldest turns out. */
export type FullContext = 'error' | 'dropOldest';

export interface ChatOptions extends TextOptions, Omit<ChatRequest, 'messages'> {
  /** System message put before `messages` when they have none. */
  readonly system?: string | undefined;
  /** A conversation that does not fit the context is an `error` (default), or loses its oldest turns: `dropOldest`. */
  readonly fullContext?: FullContext | undefined;
}

/** Numbers of one generation; complete when the stream has ended. Times in milliseconds. */
export interface GenerateStats {
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values an earlier generation had left. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** From the call to the first step. */
  readonly queueMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly stopReason: StopReason | undefined;
  /** One per token when `logprobs` was asked for. */
  readonly logprobs: readonly GeneratedToken[];
  /** Of streamed experts, once the stream has ended. */
  readonly experts?: ExpertUse | undefined;
  /** Of a tiered KV cache, once the stream has ended. */
  readonly kv?: TierUse | undefined;
}

/** Text of an answer as it comes. To be read once: as a stream, or as a whole. */
export interface TextStream extends AsyncIterable<string> {
  /** Complete when the stream has ended. */
  readonly stats: GenerateStats;
  /** Oldest messages that were left out because they did not fit; known when the stream has begun. */
  readonly dropped: number;
  /** Waits for the end and gives all of the answer, also what is no text. */
  whole(): Promise<Answer>;
}

/** Why an answer ended: by itself, by a text of `stop`, at its limit or that of the context, or to have tools called. */
export type EndReason = 'end' | 'stopText' | 'length' | 'toolCalls';

/** A whole answer. */
export interface Answer {
  readonly text: string;
  /** What the model thought before it answered, where its format tells. */
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  readonly endReason: EndReason;
  /** The text of `stop` that ended it. */
  readonly stoppedBy: string | undefined;
  readonly dropped: number;
  readonly stats: GenerateStats;
  /** The answer as the next message of the conversation. */
  readonly message: Message;
}

export interface TokenStream extends AsyncIterable<number> {
  readonly stats: GenerateStats;
}

export interface PerplexityOptions {
  /** Tokens per window. Default: the smaller of 1,024 and the model's context. */
  readonly context?: number | undefined;
  /** Tokens between the starts of two windows. Default: `context`, so windows do not overlap. */
  readonly stride?: number | undefined;
  /**
   * Tokens that are read at a time, 1 to 64 (default). 1 is how an answer is written, and slower: what a model does for single tokens
   * only, such as giving way to experts in memory, then counts.
   */
  readonly rows?: number | undefined;
  /**
   * Also compares with this model, such as the one that was quantised: it must have the same vocabulary. Its logits of a
   * window are kept, which is 4 bytes for each of its tokens and words; the default context is then 512.
   */
  readonly against?: Pick<Model, 'info' | 'logits'> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?:
    | ((progress: { readonly tokensDone: number; readonly tokensTotal: number }) => void)
    | undefined;
}

export interface PerplexityResult {
  readonly perplexity: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  readonly ms: number;
  /** Share of routers' choices that were swapped for experts in memory or left out; only where that is allowed. */
  readonly substituted?: number;
  readonly against?: Comparison;
}

/** How the predictions of a model differ from those of another, on the same tokens. */
export interface Comparison {
  /** The other model's. */
  readonly perplexity: number;
  /** Mean of KL(other || model) over predicted tokens, in nats: what is lost by believing the model in its place. */
  readonly meanKl: number;
  /** Share of tokens for which both find the same most probable. */
  readonly topAgreement: number;
}

export interface TuneOptions {
  readonly signal?: AbortSignal | undefined;
  /** Kernel choices measured so far, out of all, and the family being measured. */
  readonly onProgress?: ((done: number, total: number, family: string) => void) | undefined;
}

/** What the tuner measured, and where the choices are kept: a file, or a key of a page's storage. */
export interface TuneReport {
  readonly results: readonly TuneResult[];
  readonly path: string | undefined;
}

export interface ModelInfo {
  readonly name: string;
  /** For example `llama` or `qwen3-moe`. */
  readonly family: string;
  readonly parameters: number;
  readonly layers: number;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
  /** The most tokens it was trained for: what `contextLength` may be loaded with, where memory allows. */
  readonly trainedContextLength: number;
  /** How its makers sample from it (`generation_config.json`, or a GGUF file's own keys): the defaults of its generations. */
  readonly sampling: SamplingOptions;
  /** What it was loaded with for every conversation. */
  readonly defaults?: Pick<ModelDefaults, 'system' | 'messages' | 'maxTokens' | 'stop'> | undefined;
  /** In memory: dense weights, and room for experts. */
  readonly weightBytes: number;
  /** How its memory is divided. */
  readonly memory?: MemoryDivision | undefined;
  /** How its keys and values are kept. */
  readonly kv?: CacheKindName | undefined;
  /** Bytes of the KV cache that prefixes of earlier prompts may keep. */
  readonly prefixBytes: number;
  /** For example `GGUF Q4_1` or `safetensors bf16`. */
  readonly format: string;
}

export interface EmbedOptions {
  /** Mean of all rows of the final hidden state (default), or the last one. */
  readonly pooling?: Pooling | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LogprobsOptions {
  /** Most probable tokens to report with each; 0 (default) to 20. */
  readonly top?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How often experts were chosen since the model was loaded; only streamed models count. */
export type Routing = readonly LayerRouting[];

export interface ModelStatus extends SchedulerStatus {
  /** Hits, reads and memory of experts that are streamed, and what they did in the last answer. */
  readonly experts?: (ExpertStatus & { readonly last?: ExpertUse | undefined }) | undefined;
}

/** A loaded model. Its generations run together, as many as `maxSequences` and memory allow; the others wait their turn. */
export interface Model extends Disposable, AsyncDisposable {
  readonly info: ModelInfo;
  readonly hasTokenizer: boolean;
  /** Throws unsupported when the model came without one: then only token ids go in and out. */
  readonly tokenizer: Tokenizer;
  /** Text of the answer to `messages`. Throws unsupported without a tokenizer. */
  chat(messages: readonly Message[], options?: ChatOptions): TextStream;
  /** The whole answer to a question or a conversation. Rejects as `chat` does. */
  ask(question: string | readonly Message[], options?: ChatOptions): Promise<Answer>;
  /** A conversation that remembers what was said and calls tools. */
  session(options?: SessionOptions): Session;
  /** The prompt of a conversation as the model's own template writes it. Throws unsupported without one. */
  render(messages: readonly Message[], options?: ChatOptions): string;
  /** Text that follows `text`. Throws unsupported without a tokenizer. */
  complete(text: string, options?: CompleteOptions): TextStream;
  generate(tokens: readonly number[], options?: GenerateOptions): TokenStream;
  /** Row i follows token i: `shape` is [tokens, vocabulary], `data` row-major. */
  logits(
    tokens: readonly number[],
  ): Promise<{ readonly data: Float32Array; readonly shape: readonly [number, number] }>;
  /** Entry i is about token i + 1: its log probability after those before it, and the most probable tokens in its place. */
  logprobs(tokens: readonly number[], options?: LogprobsOptions): Promise<readonly GeneratedToken[]>;
  /** One vector of length 1 for a text or its tokens: `[hidden size]`; of several texts, one for each. */
  embed(input: string | readonly number[], options?: EmbedOptions): Promise<Float32Array>;
  embed(inputs: readonly string[], options?: EmbedOptions): Promise<readonly Float32Array[]>;
  perplexity(text: string, options?: PerplexityOptions): Promise<PerplexityResult>;
  /** What runs and waits, and how full the KV cache is. */
  status(): ModelStatus;
  /** Undefined where experts are not streamed. */
  routing?(): Routing | undefined;
  /** Measures which variants of the kernels are fastest on this GPU; the next load uses them. Throws unsupported elsewhere. */
  tune(options?: TuneOptions): Promise<TuneReport>;
  /**
   * The linears, norms, embeddings and stacks of experts as a tree of modules of `ingot/nn`, by the names of the model's tensors:
   * look at them, put others in their place (an adapter around a linear), then `recompile`.
   */
  modules(): ModelModules;
  /**
   * Once nothing runs, makes the plans anew from the modules as they are now, and forgets what the cache knows of earlier
   * prompts. When that fails, e.g. with shape_mismatch for a module of other shapes, the old plans go on.
   */
  recompile(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** For `patch`, `unpatch` and `smartPatch` of `ingot/patch`. */
  readonly [patchTarget]?: PatchTarget;
  /** Time per dispatch of the last step, when loaded with `profile`; else empty. */
  profile(): readonly { readonly label: string; readonly ns: number }[];
  /** Frees everything once nothing runs any more; later calls reject with `disposed`. `await using` waits for that. */
  dispose(): void;
}
