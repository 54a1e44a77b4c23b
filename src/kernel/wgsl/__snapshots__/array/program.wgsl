alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
fn pow2(n: I) -> F { return bitcast<F>((n + I(127)) << U(23u)); }
// e^r for |r| <= ln 2 / 2
fn exp_reduced(r: F) -> F {
  var p = 1.395047875e-3 * r + F(8.368884213e-3);
  p = p * r + F(4.166620597e-2);
  p = p * r + F(1.666651815e-1);
  p = p * r + F(0.5);
  return p * (r * r) + r + F(1.0);
}
fn exp_f32(x: F) -> F {
  let y = clamp(x, F(-105.0), F(89.0));
  let n = round(y * 1.44269504);
  let r = (y - n * 0.693359375) + n * 2.12194440e-4;
  let k = I(n);
  let half = k >> U(1u);
  return select(exp_reduced(r) * pow2(half) * pow2(k - half), x, is_nan(x));
}
struct ProgramResult { r0: F, r1: B }
fn program(x0: F) -> ProgramResult {
  let v0: F = exp_f32(x0);
  let v1: B = is_nan(x0);
  return ProgramResult(v0, v1);
}
