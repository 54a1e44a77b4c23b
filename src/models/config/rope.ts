// Rotary settings of a config.json in both dialects: `rope_theta` with `rope_scaling`, and the newer `rope_parameters`.

import { type RopeConfig, type RopeScaling, ropeScalingKinds } from '../../nn/rope.ts';
import { type ConfigReader, limits } from './reader.ts';

export interface RopeDefaults {
  readonly theta: number;
  readonly headDim: number;
  /** max_position_embeddings of the config. */
  readonly contextLength: number;
}

/**
 * The rotary settings of a config, and the context they reach. Throws bad_file for impossible values and unsupported for
 * an unknown kind of scaling.
 */
export function readRope(
  config: ConfigReader,
  defaults: RopeDefaults,
): { readonly rope: RopeConfig; readonly contextLength: number } {
  const key = config.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling';
  const fields = config.object(key);
  if (fields?.has('full_attention') || fields?.has('sliding_attention')) {
    config.unsupported(key, 'settings per layer type are not supported for this architecture');
  }
  const theta = fields?.has('rope_theta')
    ? fields.number('rope_theta', limits.theta)
    : config.number('rope_theta', limits.theta, defaults.theta);
  const rotaryDim = readRotaryDim(config, fields, defaults.headDim);
  const scaling: RopeScaling = fields ? readScaling(fields, config, defaults) : { kind: 'default' };
  if (scaling.kind === 'factors' && scaling.factors.length !== rotaryDim / 2) {
    config.fail(key, `has ${scaling.factors.length} factors for ${rotaryDim / 2} frequencies`);
  }
  return { rope: { theta, rotaryDim, scaling }, contextLength: reach(scaling, defaults.contextLength) };
}

function readRotaryDim(config: ConfigReader, fields: ConfigReader | undefined, headDim: number): number {
  const holder = fields?.has('partial_rotary_factor') ? fields : config;
  const share = holder.number('partial_rotary_factor', { min: 0, max: 1 }, 1);
  const rotaryDim = Math.trunc(headDim * share);
  if (rotaryDim < 2 || rotaryDim % 2 !== 0) {
    const of = share === 1 ? `head_dim ${headDim}` : `${share} of head_dim ${headDim}`;
    config.fail('head_dim', `${of} gives ${rotaryDim} rotating dimensions, must be even and at least 2`);
  }
  return rotaryDim;
}

function readScaling(fields: ConfigReader, config: ConfigReader, defaults: RopeDefaults): RopeScaling {
  const key = fields.has('rope_type') ? 'rope_type' : 'type';
  const kind = fields.string(key) ?? 'default';
  switch (kind) {
    case 'default':
      return { kind };
    case 'linear':
      return { kind, factor: fields.number('factor', limits.factor) };
    case 'dynamic':
      return {
        kind,
        factor: fields.number('factor', limits.factor),
        originalContext: defaults.contextLength,
      };
    case 'llama3':
      return readLlama3(fields, originalContext(fields, config, defaults));
    case 'yarn':
      return readYarn(fields, originalContext(fields, config, defaults), defaults);
    case 'factors':
      return { kind, factors: fields.numbers('factors', limits.factor, limits.headDim.max) };
    default:
      return fields.unsupported(
        key,
        `unknown kind of rotary scaling "${kind}"; supported are ${ropeScalingKinds.join(', ')}`,
      );
  }
}

/** A value beside the rotary settings wins over one inside them, as some checkpoints carry both. */
function originalContext(fields: ConfigReader, config: ConfigReader, defaults: RopeDefaults): number {
  const key = 'original_max_position_embeddings';
  const holder = config.has(key) ? config : fields;
  return holder.int(key, limits.contextLength, defaults.contextLength);
}

function readLlama3(fields: ConfigReader, original: number): RopeScaling {
  const lowFreqFactor = fields.number('low_freq_factor', limits.factor);
  const highFreqFactor = fields.number('high_freq_factor', limits.factor);
  if (highFreqFactor <= lowFreqFactor) {
    fields.fail('high_freq_factor', `is ${highFreqFactor}, must exceed low_freq_factor ${lowFreqFactor}`);
  }
  const factor = fields.number('factor', limits.factor);
  return { kind: 'llama3', factor, lowFreqFactor, highFreqFactor, originalContext: original };
}

function readYarn(fields: ConfigReader, original: number, defaults: RopeDefaults): RopeScaling {
  const attentionFactor = fields.optionalNumber('attention_factor', { min: 1e-6, max: 1e3 });
  const mscale = fields.optionalNumber('mscale', { min: 0, max: 1e3 });
  const mscaleAllDim = fields.optionalNumber('mscale_all_dim', { min: 0, max: 1e3 });
  return {
    kind: 'yarn',
    factor: fields.number('factor', limits.factor, defaults.contextLength / original),
    originalContext: original,
    betaFast: fields.number('beta_fast', limits.factor, 32),
    betaSlow: fields.number('beta_slow', limits.factor, 1),
    truncate: fields.boolean('truncate', true),
    ...(attentionFactor === undefined ? {} : { attentionFactor }),
    ...(mscale === undefined ? {} : { mscale }),
    ...(mscaleAllDim === undefined ? {} : { mscaleAllDim }),
  };
}

/** Tokens the model can take. YaRN and dynamic scaling are often added to a config that keeps the original length. */
function reach(scaling: RopeScaling, contextLength: number): number {
  if (scaling.kind !== 'yarn' && scaling.kind !== 'dynamic') return contextLength;
  const scaled = Math.floor(scaling.originalContext * scaling.factor);
  return Math.min(Math.max(contextLength, scaled), limits.contextLength.max);
}
