// What happens to products before they are stored: act(gate) · up.

import type { Glu } from '../../signature.ts';

/** `glu(gate, up)`, or nothing for 'none'. */
export function gluFunction(glu: Glu): string {
  switch (glu) {
    case 'none':
      return '';
    case 'silu':
      return `fn glu(gate: f32, up: f32) -> f32 { return gate / (1.0 + exp(-gate)) * up; }
`;
    case 'gelu_tanh': // tanh may overflow inside: it is 1 long before 10
      return `fn glu(gate: f32, up: f32) -> f32 {
  let u = 0.7978845608 * (gate + 0.044715 * gate * gate * gate);
  return 0.5 * gate * (1.0 + tanh(clamp(u, -10.0, 10.0))) * up;
}
`;
    case 'gelu_erf':
      return `${erfc}fn glu(gate: f32, up: f32) -> f32 {
  let tail = 0.5 * erfc_positive(abs(gate) * 0.70710678);
  return gate * select(1.0 - tail, tail, gate < 0.0) * up;
}
`;
  }
}

/** erfc for x >= 0, error below 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26. */
const erfc = `fn erfc_positive(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * x);
  return t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-x * x);
}
`;
