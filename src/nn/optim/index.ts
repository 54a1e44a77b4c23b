// The namespace `optim`: optimisers, schedules, clipping, and what they are made of.

export {
  addDecayedWeights,
  clipByGlobalNorm,
  clipByNorm,
  clipByValue,
  clipGradNorm,
  globalNorm,
  scale,
  scaleBySchedule,
} from './clipping.ts';
export { type AdafactorOptions, adafactor, type MuonOptions, muon } from './matrix-optimizers.ts';
export * from './optimizers.ts';
export {
  constantSchedule,
  cosineDecay,
  exponentialDecay,
  inverseSquareRoot,
  joinSchedules,
  linearSchedule,
  piecewiseConstant,
  polynomialDecay,
  stepDecay,
  type WarmupCosineOptions,
  warmupCosine,
} from './schedules.ts';
export {
  applyUpdates,
  chain,
  type GradientTransform,
  type LearningRate,
  partition,
  type Schedule,
  stateless,
  type TransformState,
} from './transform.ts';
