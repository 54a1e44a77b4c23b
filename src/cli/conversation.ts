// What `ingot chat` knows of a conversation: the model, what was said, and the settings that commands change.

import type { Message } from '../chat/messages.ts';
import type { Preset, PresetParameters } from '../engine/presets/preset.ts';
import { baseOf, findPreset, writePreset } from '../engine/presets/store.ts';
import type { Model } from '../engine/types.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { Context } from './context.ts';
import { formatOf } from './format.ts';
import { loadOptions, type ModelFlags, type SamplingFlags } from './options.ts';
import { createProgress, progressCallbacks } from './progress.ts';

export interface ChatFlags extends ModelFlags, SamplingFlags {
  readonly system?: string;
  readonly format?: string;
  readonly think?: boolean;
  readonly wordwrap?: boolean;
  readonly stats?: boolean;
}

export class Conversation {
  messages: Message[] = [];
  /** In place of the model's own. */
  system: string | undefined;
  format: ConstraintSpec | undefined;
  think: boolean | undefined;
  wordwrap: boolean;
  stats: boolean;
  /** Whether what is typed is kept for the next time. */
  history = true;
  /** What `/set parameter` and the command line say. */
  parameters: PresetParameters;
  name = '';
  readonly #context: Context;
  readonly #flags: ChatFlags;
  #model: Model | undefined;
  #preset: Preset | undefined;

  constructor(context: Context, flags: ChatFlags) {
    this.#context = context;
    this.#flags = flags;
    this.system = flags.system;
    this.format = flags.format === undefined ? undefined : formatOf(flags.format);
    this.think = flags.think;
    this.wordwrap = flags.wordwrap !== false;
    this.stats = flags.stats === true;
    const { maxTokens, temperature, topK, topP, minP, seed, stop, contextLength } = flags;
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = flags;
    const penalties = { repetitionPenalty, presencePenalty, frequencyPenalty };
    this.parameters = { maxTokens, temperature, topK, topP, minP, ...penalties, seed, stop, contextLength };
  }

  get model(): Model {
    if (!this.#model) throw new Error('no model is loaded');
    return this.#model;
  }

  /** How answers are sampled, where it is not left to the model. */
  get sampling(): SamplingFlags {
    const { contextLength: _, ...sampling } = this.parameters;
    const given = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
    return { ...given, ...(this.#flags.ignoreEos === true ? { ignoreEos: true } : {}) };
  }

  /** Takes a model, or a preset with what was said in it; the one before stays when that fails. */
  async load(name: string): Promise<void> {
    const preset = await findPreset(name, this.#context.env);
    const model = await this.#open(name);
    this.#model?.dispose();
    this.#model = model;
    this.#preset = preset;
    this.name = name;
    this.messages = [...(preset?.messages ?? [])];
  }

  /** The same model again, after a setting that is read when it is loaded. */
  async reload(): Promise<void> {
    const model = await this.#open(this.name);
    this.#model?.dispose();
    this.#model = model;
  }

  async #open(name: string): Promise<Model> {
    const progress = createProgress(this.#context.stderr);
    return await this.#context.engine
      .load(name, {
        ...loadOptions(this.#flags, this.#context.signal),
        contextLength: this.parameters.contextLength,
        ...progressCallbacks(progress),
        // They are the beginning of this conversation, and can be forgotten with it.
        defaults: { messages: [] },
      })
      .finally(() => progress.finish());
  }

  /** The conversation as a preset. */
  async preset(): Promise<Preset> {
    const from = await baseOf(this.name, this.#context.env);
    const own = Object.fromEntries(
      Object.entries(this.parameters).filter(([, value]) => value !== undefined),
    );
    const template =
      this.#flags.template === undefined ? undefined : loadOptions(this.#flags, this.#context.signal);
    return {
      from,
      parameters: { ...this.#preset?.parameters, ...own },
      system: this.system ?? this.#preset?.system,
      template: template?.chatTemplate ?? this.#preset?.template,
      messages: this.messages,
    };
  }

  async save(name: string): Promise<void> {
    await writePreset(name, await this.preset(), this.#context.env);
  }

  dispose(): void {
    this.#model?.dispose();
  }
}
