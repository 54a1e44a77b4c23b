// Entry of `ingot/kernel`: kernels written in one line or by hand, and the catalog of those that are there.

export * as catalog from './catalog/index.ts';
export {
  type ElementwiseKernel,
  type ElementwiseOptions,
  elementwise,
  type KernelResult,
} from './elementwise.ts';
export type { PassOptions, Sources } from './fold-source.ts';
export {
  type Arrays,
  type Binding,
  type KernelOptions,
  kernel,
  type OutputBinding,
  type Shapes,
  type WrittenKernel,
} from './kernel.ts';
export { type FoldKernel, type MapReduceOptions, mapReduce, type ReduceOptions, reduce } from './reduce.ts';
export type { ShownInputs } from './source.ts';
