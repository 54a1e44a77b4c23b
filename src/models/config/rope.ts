// Rotary settings of a config.json in both dialects: `rope_theta` with `rope_scaling`, and the newer `rope_parameters`, which
// may have an object per kind of layer.

import { type RopeConfig, type RopeScaling, ropeScalingKinds } from '../../nn/rope.ts';
import { type ConfigReader, limits } from './reader.ts';

export interface RopeDefaults {
  readonly theta: number;
  readonly headDim: number;
  /** Share of a head that rotates where the config does not say. */
  readonly partialRotary?: number;
  readonly interleaved?: boolean;
  /** Where the config says nothing of scaling; default none. */
  readonly scaling?: RopeScaling;
  /** The family reads settings per kind of layer (`readLayerRope`). */
  readonly perLayer?: boolean;
  /** max_position_embeddings of the config. */
  readonly contextLength: number;
}

/** `theta` is where an older config has the base of this kind of layer, `scaled` whether `rope_scaling` applies to it. */
export interface LayerRope {
  readonly type: 'full_attention' | 'sliding_attention';
  readonly thetaKey: string;
  readonly theta: number;
  readonly scaled: boolean;
}

interface ReadRope {
  readonly rope: RopeConfig;
  readonly contextLength: number;
  /** Less than that: up to here dynamic scaling changes nothing. */
  readonly plainContext?: number;
}

/**
 * The rotary settings of a config, and the context they reach. Throws bad_file for impossible values and unsupported for
 * an unknown kind of scaling.
 */
export function readRope(config: ConfigReader, defaults: RopeDefaults): ReadRope {
  const key = config.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling';
  const fields = config.object(key);
  const full = fields?.object('full_attention');
  const sliding = fields?.object('sliding_attention');
  if ((full ?? sliding) !== undefined && defaults.perLayer !== true)
    config.unsupported(key, 'settings per layer type are not supported for this architecture');
  // Of settings per kind of layer those of full attention, which reach farthest.
  return readFields(config, full ?? sliding ?? fields, defaults, key);
}

/** The rotary settings of one kind of layer, in models that have two. Throws like `readRope`. */
export function readLayerRope(config: ConfigReader, layer: LayerRope, defaults: RopeDefaults): RopeConfig {
  const theta = config.number(layer.thetaKey, limits.theta, layer.theta);
  const nested = config.object('rope_parameters');
  const own = nested?.object(layer.type);
  const perLayer = nested?.has('full_attention') === true || nested?.has('sliding_attention') === true;
  const flat = layer.scaled ? (perLayer ? undefined : (nested ?? config.object('rope_scaling'))) : undefined;
  return readFields(config, own ?? flat, { ...defaults, theta }, 'rope_parameters', layer.thetaKey).rope;
}

function readFields(
  config: ConfigReader,
  fields: ConfigReader | undefined,
  defaults: RopeDefaults,
  key: string,
  thetaKey = 'rope_theta',
): ReadRope {
  const theta = fields?.has('rope_theta')
    ? fields.number('rope_theta', limits.theta)
    : config.number(thetaKey, limits.theta, defaults.theta);
  const rotaryDim = readRotaryDim(config, fields, defaults);
  // An odd number is rounded up to whole pairs, whose frequencies are still those of the number.
  const columns = rotaryDim + (rotaryDim % 2);
  const said = fields !== undefined || config.stated(key);
  const scaling: RopeScaling = fields
    ? readScaling(fields, config, defaults)
    : ((said ? undefined : defaults.scaling) ?? { kind: 'default' });
  for (const factors of factorLists(scaling)) {
    if (factors.length !== columns / 2)
      config.fail(key, `has ${factors.length} factors for ${columns / 2} frequencies`);
  }
  return {
    rope: {
      theta,
      rotaryDim: columns,
      scaling,
      ...(columns === rotaryDim ? {} : { exponents: rotaryDim }),
      ...(defaults.interleaved ? { interleaved: true } : {}),
    },
    contextLength: reach(scaling, defaults.contextLength),
    ...(scaling.kind === 'dynamic' ? { plainContext: scaling.originalContext } : {}),
  };
}

function factorLists(scaling: RopeScaling): readonly (readonly number[])[] {
  if (scaling.kind === 'factors') return [scaling.factors];
  return scaling.kind === 'longrope' ? [scaling.shortFactors, scaling.longFactors] : [];
}

function readRotaryDim(
  config: ConfigReader,
  fields: ConfigReader | undefined,
  { headDim, partialRotary = 1 }: RopeDefaults,
): number {
  const holder = fields?.has('partial_rotary_factor') ? fields : config;
  const share = holder.number('partial_rotary_factor', { min: 0, max: 1 }, partialRotary);
  const rotaryDim = Math.trunc(headDim * share);
  if (rotaryDim < 1 || rotaryDim + (rotaryDim % 2) > headDim) {
    const of = share === 1 ? `head_dim ${headDim}` : `${share} of head_dim ${headDim}`;
    config.fail(
      'head_dim',
      `${of} gives ${rotaryDim} rotating dimensions, must be whole pairs and at least one`,
    );
  }
  return rotaryDim;
}

/** How frequencies are changed, by the fields of rotary settings. Throws unsupported for an unknown kind. */
export function readScaling(
  fields: ConfigReader,
  config: ConfigReader,
  defaults: Pick<RopeDefaults, 'contextLength'>,
): RopeScaling {
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
      // Phi-3's first files call their two lists of factors `yarn`, and the next ones `su`.
      if (fields.has('long_factor')) return readLongrope(fields, config, defaults);
      return readYarn(fields, originalContext(fields, config, defaults), defaults);
    case 'su':
    case 'longrope':
      return readLongrope(fields, config, defaults);
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
function originalContext(
  fields: ConfigReader,
  config: ConfigReader,
  defaults: Pick<RopeDefaults, 'contextLength'>,
): number {
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

function readYarn(
  fields: ConfigReader,
  original: number,
  defaults: Pick<RopeDefaults, 'contextLength'>,
): RopeScaling {
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

function readLongrope(
  fields: ConfigReader,
  config: ConfigReader,
  defaults: Pick<RopeDefaults, 'contextLength'>,
): RopeScaling {
  const original = originalContext(fields, config, defaults);
  const factor = fields.number('factor', limits.factor, defaults.contextLength / original);
  // The default of the paper's code (arXiv:2402.13753): longer contexts need sharper attention.
  const sharper = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    kind: 'longrope',
    shortFactors: fields.numbers('short_factor', limits.factor, limits.headDim.max),
    longFactors: fields.numbers('long_factor', limits.factor, limits.headDim.max),
    originalContext: original,
    attentionFactor: fields.number('attention_factor', { min: 1e-6, max: 1e3 }, sharper),
  };
}

/** Tokens the model can take. YaRN and dynamic scaling are often added to a config that keeps the original length. */
function reach(scaling: RopeScaling, contextLength: number): number {
  if (scaling.kind !== 'yarn' && scaling.kind !== 'dynamic') return contextLength;
  const scaled = Math.floor(scaling.originalContext * scaling.factor);
  return Math.min(Math.max(contextLength, scaled), limits.contextLength.max);
}
