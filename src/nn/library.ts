// The library of layers: modules with named parameters, layers, losses, optimisers and schedules.

export * as losses from '../array/checked/losses.ts';
export { valueAndGrad } from './differentiate.ts';
export { type LoadWeightsOptions, loadWeights, saveWeights } from './files.ts';
export * from './layers/activations.ts';
export {
  type Mask,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  Transformer,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
  type TransformerOptions,
} from './layers/attention.ts';
export { Lambda, Sequential, type Step as SequentialStep } from './layers/containers.ts';
export * from './layers/convolution.ts';
export { Dropout, Dropout1d, Dropout2d, Dropout3d } from './layers/dropout.ts';
export {
  ALiBi,
  Embedding,
  RoPE,
  type RoPEOptions,
  type SinusoidalOptions,
  SinusoidalPositionalEncoding,
} from './layers/embedding.ts';
export * as init from './layers/initializers.ts';
export { type BiasOption, Bilinear, Identity, Linear, SwitchLinear } from './layers/linear.ts';
export { MixtureOfExperts, type MixtureOfExpertsOptions } from './layers/moe.ts';
export * from './layers/norms.ts';
export {
  QuantizedEmbedding,
  QuantizedLinear,
  type QuantizeModuleOptions,
  quantize,
} from './layers/quantized.ts';
export { GRU, LSTM, RNN, type RNNOptions } from './layers/recurrent.ts';
export { ExpertStack, type ModelModules, type ModelTensor } from './model-modules.ts';
export { type FreezeOptions, type Layer, Module, type Parameters, type UpdateOptions } from './module.ts';
export * as optim from './optim/index.ts';
export {
  type StepResult,
  type TrainingStep,
  type TrainingStepOptions,
  trainingStep,
} from './training-step.ts';
