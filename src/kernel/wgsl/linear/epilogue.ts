// What happens to products before they are stored: act(gate) · up.

import type { GateForm, Glu } from '../../signature.ts';

/** `glu(gate, up)`, or nothing for 'none'. Numbers of a form are f32 expressions. */
export function gluFunction(glu: Glu, { limit, alpha, offset }: GateForm<string> = {}): string {
  if ([limit, alpha, offset].every((x) => x === undefined)) return activation(glu);
  const open = limit === undefined ? 'gate' : `min(gate, ${limit})`;
  const through = limit === undefined ? 'up' : `clamp(up, -${limit}, ${limit})`;
  const act =
    alpha === undefined
      ? 'activated(open, through)'
      : `open / (1.0 + exp(-clamp(${alpha} * open, -80.0, 80.0))) * through`;
  const inner = alpha === undefined ? activation(glu).replace('fn glu(', 'fn activated(') : '';
  return `${inner}fn glu(gate: f32, up: f32) -> f32 {
  let open = ${open};
  let through = ${through}${offset === undefined ? '' : ` + ${offset}`};
  return ${act};
}
`;
}

function activation(glu: Glu): string {
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
