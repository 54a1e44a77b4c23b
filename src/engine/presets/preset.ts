// A preset: a model under a name of the user's, with what every conversation begins with and how answers are sampled.

import type { Message } from '../../chat/messages.ts';
import type { LoadOptions, ModelDefaults } from '../types.ts';

/** What `PARAMETER` may set: the options of a generation that have a value of their own, and the context. */
export interface PresetParameters extends Omit<ModelDefaults, 'system' | 'messages'> {
  readonly contextLength?: number | undefined;
}

export interface Preset {
  /** The model it is made of: a name of the catalog or the hub, or a path. Never another preset. */
  readonly from: string;
  readonly parameters: PresetParameters;
  readonly system?: string | undefined;
  /** A chat template in Jinja, in place of the model's own. */
  readonly template?: string | undefined;
  /** What was said before every conversation. */
  readonly messages: readonly Message[];
  readonly license?: string | undefined;
}

/** `preset` on top of the one it is made from: what both say, the later one says; messages follow each other. */
export function onTopOf(base: Preset, preset: Preset): Preset {
  return {
    ...base,
    ...Object.fromEntries(Object.entries(preset).filter(([, value]) => value !== undefined)),
    from: base.from,
    parameters: { ...base.parameters, ...preset.parameters },
    messages: [...base.messages, ...preset.messages],
  };
}

/** The options that load what a preset says; those of the caller come first. */
export function presetOptions(preset: Preset, options: LoadOptions): LoadOptions {
  const { contextLength, ...parameters } = preset.parameters;
  const { messages, system } = preset;
  const given = Object.fromEntries(
    Object.entries(options.defaults ?? {}).filter(([, value]) => value !== undefined),
  );
  return {
    ...options,
    contextLength: options.contextLength ?? contextLength,
    chatTemplate: options.chatTemplate ?? preset.template,
    defaults: { ...parameters, system, messages, ...given },
  };
}
