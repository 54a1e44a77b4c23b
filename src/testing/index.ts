// Entry of `ingot/testing`: comparing arrays, the conformance suite of devices, tiny models.

export { type Bound, type Comparison, compare, expectAllClose } from './allclose.ts';
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
