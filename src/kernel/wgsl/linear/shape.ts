// What a `linear` dispatch asks for, read from its params and buffers once for all its variants.

import type { WeightLayout } from '../../../quant/layout.ts';
import { type Glu, nameOf, type Precision } from '../../signature.ts';
import type { KernelRequest } from '../contract.ts';
import { layoutFromParams, octetsOf } from './unpack.ts';

/** One weight matrix `[N, K]`; the members `w`, `bias` and `y` are numbers of buffers. */
export interface LinearSegment {
  readonly w: number;
  readonly bias: number | undefined;
  /** undefined for the up matrix of a glu. */
  readonly y: number | undefined;
  readonly N: number;
  readonly layout: WeightLayout;
}

export interface LinearShape {
  /** Rows of x where the plan knows them. */
  readonly rows: number | undefined;
  readonly K: number;
  readonly octets: number;
  readonly precision: Precision;
  /** RMS norm of x before the product; the weight is buffer 1. */
  readonly norm: { readonly eps: string; readonly offset: string } | undefined;
  readonly residual: boolean;
  readonly glu: Glu;
  readonly segments: readonly LinearSegment[];
}

/** Number of the params before those of the segments. */
const head = 7;

export function linearShape(request: KernelRequest): LinearShape {
  const K = request.constant(1);
  const segments = Array.from({ length: request.constant(6) }, (_, s): LinearSegment => {
    const [at, buffer] = [head + 4 * s, 3 + 3 * s];
    return {
      w: buffer,
      bias: request.has(buffer + 1) ? buffer + 1 : undefined,
      y: request.has(buffer + 2) ? buffer + 2 : undefined,
      N: request.constant(at),
      layout: layoutFromParams(request.constant(at + 1), request.constant(at + 2), request.constant(at + 3)),
    };
  });
  return {
    rows: request.isConstant(0) ? request.constant(0) : undefined,
    K,
    octets: octetsOf(K),
    precision: nameOf('precision', request.constant(2)),
    norm: request.has(1) ? { eps: request.float(3), offset: request.float(4) } : undefined,
    residual: request.has(2),
    glu: nameOf('glu', request.constant(5)),
    segments,
  };
}
