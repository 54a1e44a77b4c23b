// Entry of `ingot/nn`: the modules that models are made of, and what a model asks of a KV cache.

export type { AttendOptions, LayerSpec, SequenceMemory } from './contracts.ts';
export { Embedding } from './embedding.ts';
export { LayerNorm } from './layer-norm.ts';
export { Linear, type LinearOptions } from './linear.ts';
export { RmsNorm } from './rms-norm.ts';
export { type RopeConfig, type RopeFrequencies, type RopeScaling, ropeFrequencies } from './rope.ts';
