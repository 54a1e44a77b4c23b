// The modules of the catalog: ready kernels, each with its formula, shapes, gradient and source. docs/catalog.md is made from these files.

export * as activations from './activations.ts';
export * as attention from './attention.ts';
export * as bits from './bits.ts';
export * as image from './image.ts';
export * as indexing from './indexing.ts';
export * as linear from './linear.ts';
export * as loss from './loss.ts';
export * as moe from './moe.ts';
export * as norms from './norms.ts';
export * as optimizers from './optimizers.ts';
export * as quant from './quant.ts';
export * as reductions from './reductions.ts';
export * as rope from './rope.ts';
export * as scan from './scan.ts';
export * as softmax from './softmax.ts';
export * as transformer from './transformer.ts';
export * as vlsp from './vlsp.ts';
