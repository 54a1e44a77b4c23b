// Entry of `ingot/nn`: modules with named parameters, layers, losses, optimisers and schedules.

export * from './checked/index.ts';
