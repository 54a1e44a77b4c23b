// Stacks that hold some of a layer's experts: the buffer then has a place for each of those, in any number, and ids are numbers of places.
// What a kernel chooses by the number of experts stays what it is with all of them, and with it every bit of a result.

import { packedBytes, type WeightLayout } from '../../../quant/layout.ts';
import type { KernelRequest } from '../contract.ts';

/**
 * In place of an expert's number: it is not there in this dispatch and comes with another one of the same rows. Its results stay as
 * they are; `moe_down` of few rows skips a row whose first expert is absent.
 */
export const absentExpert = -0x8000_0000;

/** The same in WGSL, whose literals have no sign. */
export const absent = '(-2147483647i - 1i)';

/** Matrices in the buffer of a stack. */
export const heldIn = (
  request: KernelRequest<'moe_glu' | 'moe_down'>,
  buffer: number,
  { layout, N, K }: { readonly layout: WeightLayout; readonly N: number; readonly K: number },
): number => Math.floor((request.bytes[buffer] ?? 0) / packedBytes(layout, N, K));
