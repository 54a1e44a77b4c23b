// The gate of moe_glu: its form, and the biases of its two matrices.

import type { GateForm, ParamPlace } from '../../signature.ts';
import type { GpuBinding, KernelRequest } from '../contract.ts';

/** Which biases there are. */
export interface Biases {
  readonly gateBias: boolean;
  readonly upBias: boolean;
  /** Biases go by numbers of their own. */
  readonly numbered: boolean;
}

export const biasesOf = (request: KernelRequest<'moe_glu'>): Biases => ({
  gateBias: request.has(request.b.gateBias),
  upBias: request.has(request.b.upBias),
  numbered: request.has(request.b.experts),
});

/** Numbers of the gate as f32 expressions. */
export function gateForm(request: KernelRequest<'moe_glu'>): GateForm<string> {
  const { limit, alpha, offset } = request.p;
  const given = (at: ParamPlace): string | undefined =>
    request.constant(at) === 0 ? undefined : request.float(at);
  return { limit: given(limit), alpha: given(alpha), offset: given(offset) };
}

/** A value of gate and up of an expert with its bias; `at` is an expression for its place in the biases. */
export const biased = (
  { gateBias, upBias }: Biases,
  [gate, up]: readonly [string, string],
  at: string,
): string => `${gate}${gateBias ? ` + gate_bias[${at}]` : ''}, ${up}${upBias ? ` + up_bias[${at}]` : ''}`;

/** The buffers of `biased`. */
export const biasBindings = (
  { gateBias, upBias, numbered }: Biases,
  [gate, up, experts]: readonly [gate: number, up: number, experts: number],
  type = 'f32',
): readonly GpuBinding[] => [
  ...(gateBias ? [readOnly(gate, 'gate_bias', type)] : []),
  ...(upBias ? [readOnly(up, 'up_bias', type)] : []),
  ...(numbered ? [readOnly(experts, 'experts', 'i32')] : []),
];

const readOnly = (buffer: number, name: string, type: string): GpuBinding => ({
  buffer,
  name,
  type: `array<${type}>`,
  access: 'read',
});
