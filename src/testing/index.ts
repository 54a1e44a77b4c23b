// Entry of `ingot/testing`: comparing arrays, functions of arrays and their times, the conformance suite of devices, tiny models.

export { type Bound, type Comparison, compare, expectAllClose } from './allclose.ts';
export { type ArrayFunction, assertGradientMatches, assertMatches, type MatchOptions } from './assert.ts';
export * as bench from './bench.ts';
export { type ConformanceCheck, conformanceChecks, referenceResult, runCase } from './device-conformance.ts';
export {
  type MemoryTensor,
  memoryLoader,
  type RandomWeights,
  randomLoader,
  type TensorLookup,
  type TestLoader,
  tinyConfigs,
} from './tiny-models.ts';
