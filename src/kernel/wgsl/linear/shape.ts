// What a `linear` dispatch asks for, read from its params and buffers once for all its variants.

import { invariant } from '../../../base/errors.ts';
import type { WeightLayout } from '../../../quant/layout.ts';
import type { BufferPlace, Glu, KernelPrecision } from '../../signature.ts';
import type { KernelRequest } from '../contract.ts';
import { layoutOf, octetsOf } from './unpack.ts';

/** One weight matrix `[N, K]`; the members `w`, `bias` and `y` are buffers. */
export interface LinearSegment {
  readonly w: BufferPlace;
  readonly bias: BufferPlace | undefined;
  /** undefined for the up matrix of a glu. */
  readonly y: BufferPlace | undefined;
  readonly N: number;
  readonly layout: WeightLayout;
}

export interface LinearShape {
  /** Rows of x where the plan knows them. */
  readonly rows: number | undefined;
  readonly K: number;
  readonly octets: number;
  readonly precision: KernelPrecision;
  /** RMS norm of x before the product; the weight is the buffer normWeight. */
  readonly norm: { readonly eps: string; readonly offset: string } | undefined;
  readonly residual: boolean;
  readonly glu: Glu;
  readonly segments: readonly LinearSegment[];
}

export function linearShape(request: KernelRequest<'linear'>): LinearShape {
  const K = request.constant(request.p.K);
  const { p, b } = request;
  const present = (buffer: BufferPlace): BufferPlace | undefined =>
    request.has(buffer) ? buffer : undefined;
  const segments = p.segments.map((params, s): LinearSegment => {
    const buffers = b.segments[s];
    invariant(buffers !== undefined, 'linear: a segment has no buffers');
    return {
      w: buffers.w,
      bias: present(buffers.bias),
      y: present(buffers.y),
      N: request.constant(params.N),
      layout: layoutOf(request, params),
    };
  });
  return {
    rows: request.isConstant(request.p.rows) ? request.constant(request.p.rows) : undefined,
    K,
    octets: octetsOf(K),
    precision: request.named('precision', request.p.precision),
    norm: request.has(request.b.normWeight)
      ? { eps: request.float(request.p.normEps), offset: request.float(request.p.normOffset) }
      : undefined,
    residual: request.has(request.b.residual),
    glu: request.named('glu', request.p.glu),
    segments,
  };
}
