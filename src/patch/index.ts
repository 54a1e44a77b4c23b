// Entry of `ingot/patch`: the fusions of models, functions and modules: chosen, measured, taken back.

export {
  type PatternChoice,
  type PatternCounts,
  type PatternName,
  patternNames,
  patternTable,
} from '../array/patterns.ts';
export { type PatternRecord, shippedRecords } from './book.ts';
export {
  type Patch,
  type PatchableFunction,
  type PatchOptions,
  type PatchReport,
  patch,
  unpatch,
} from './patch.ts';
export {
  type PatternEvidence,
  type Sample,
  type SmartPatch,
  type SmartPatchOptions,
  smartPatch,
} from './smart.ts';
export type { FunctionEvidence, FunctionPatch, FunctionSample } from './smart-function.ts';
export type { PatchableModel } from './target.ts';
