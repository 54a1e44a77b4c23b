// Functions and constants that kernel sources can name. Instructions of tile programs are called by their own names; the
// others are made of those here, in forms whose derivative is right everywhere.

import { binary, cast, constant, type Expr, instruction, type Operation, select, unary } from '../expr.ts';
import type { RegisterKind } from '../tile-opcodes.ts';

/** A function of a fixed number of arguments. Numbers without a type take that of the argument beside them, else f32. */
export interface LanguageFunction {
  readonly params: readonly string[];
  /** What it computes, for the documentation. */
  readonly formula: string;
  make(args: readonly Expr[]): Expr;
}

const f = (x: number): Expr => constant(x, 'f32');
const add = (a: Expr, b: Expr): Expr => binary('add', a, b);
const sub = (a: Expr, b: Expr): Expr => binary('sub', a, b);
const mul = (a: Expr, b: Expr): Expr => binary('mul', a, b);
const div = (a: Expr, b: Expr): Expr => binary('div', a, b);
const min = (a: Expr, b: Expr): Expr => binary('min', a, b);
const max = (a: Expr, b: Expr): Expr => binary('max', a, b);
const neg = (x: Expr): Expr => unary('neg', x);
const exp = (x: Expr): Expr => unary('exp', x);
const log = (x: Expr): Expr => unary('log', x);
const zeroOf = (x: Expr): Expr => constant(0, x.kind);

/** The tie at 0 goes to the constant, so that the derivative there is 0. */
const relu = (x: Expr): Expr => max(zeroOf(x), x);
/** -|x| written as a choice: the derivative at 0 is that of one side, and those of the parts of a softplus add up to 1/2. */
const minusAbs = (x: Expr): Expr => select(binary('gt', x, f(0)), neg(x), x);
const softplus = (x: Expr): Expr => add(relu(x), unary('log1p', exp(minusAbs(x))));
const clamp = (x: Expr, low: Expr, high: Expr): Expr => min(max(x, low), high);

type Make1 = (x: Expr) => Expr;
type Make2 = (a: Expr, b: Expr) => Expr;
type Make3 = (a: Expr, b: Expr, c: Expr) => Expr;

const one = (formula: string, make: Make1): LanguageFunction => ({
  params: ['x'],
  formula,
  make: ([x]) => make(x as Expr),
});
const two = (params: string, formula: string, make: Make2): LanguageFunction => ({
  params: params.split(' '),
  formula,
  make: ([a, b]) => make(a as Expr, b as Expr),
});
const three = (params: string, formula: string, make: Make3): LanguageFunction => ({
  params: params.split(' '),
  formula,
  make: ([a, b, c]) => make(a as Expr, b as Expr, c as Expr),
});
const own = (operation: Operation, formula: string): LanguageFunction =>
  one(formula, (x) => unary(operation, x));
const to = (kind: RegisterKind, formula: string): LanguageFunction => one(formula, (x) => cast(x, kind));

export const functions: Readonly<Record<string, LanguageFunction>> = {
  abs: own('abs', '|x|'),
  sign: own('sign', '-1, 0 or 1'),
  square: own('square', 'x²'),
  sqrt: own('sqrt', '√x'),
  rsqrt: own('rsqrt', '1 / √x'),
  reciprocal: own('reciprocal', '1 / x'),
  exp: own('exp', 'eˣ'),
  expm1: own('expm1', 'eˣ - 1 without cancellation'),
  exp2: one('2ˣ', (x) => exp(mul(x, f(Math.LN2)))),
  log: own('log', 'ln x'),
  log1p: own('log1p', 'ln(1 + x) without cancellation'),
  log2: one('log₂ x', (x) => mul(log(x), f(Math.LOG2E))),
  log10: one('log₁₀ x', (x) => mul(log(x), f(Math.LOG10E))),
  sin: own('sin', 'sine'),
  cos: own('cos', 'cosine'),
  tan: own('tan', 'tangent'),
  tanh: own('tanh', 'hyperbolic tangent'),
  sigmoid: own('sigmoid', '1 / (1 + e⁻ˣ)'),
  log_sigmoid: one('ln sigmoid(x) without overflow', (x) => neg(softplus(neg(x)))),
  silu: own('silu', 'x sigmoid(x)'),
  gelu: own('gelu_erf', 'x Φ(x), by the error function'),
  gelu_tanh: own('gelu_tanh', '0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))'),
  relu: one('max(0, x); the derivative at 0 is 0', relu),
  softplus: one('ln(1 + eˣ) without overflow', softplus),
  mish: one('x tanh(softplus(x))', (x) => mul(x, unary('tanh', softplus(x)))),
  erf: own('erf', 'error function'),
  erfc: one('1 - erf(x)', (x) => sub(f(1), unary('erf', x))),
  floor: own('floor', 'largest integer that is not above x'),
  ceil: own('ceil', 'smallest integer that is not below x'),
  round: own('round', 'nearest integer, halves to even'),
  trunc: own('trunc', 'integer part'),
  fract: one('x - floor(x)', (x) => sub(x, unary('floor', x))),
  saturate: one('x held between 0 and 1', (x) => clamp(x, f(0), f(1))),
  isnan: own('isnan', 'whether x is NaN'),
  isinf: one('whether x is infinite', (x) => binary('eq', unary('abs', x), f(Number.POSITIVE_INFINITY))),
  isfinite: one('whether x is a number and not infinite', (x) =>
    binary('lt', unary('abs', x), f(Number.POSITIVE_INFINITY)),
  ),
  min: two('a b', 'the smaller; NaN wins', min),
  max: two('a b', 'the larger; NaN wins', max),
  pow: two('a b', 'a to the power of b', (a, b) => binary('pow', a, b)),
  step: two('edge x', '1 where x >= edge, else 0', (edge, x) => cast(binary('ge', x, edge), 'f32')),
  clamp: three('x low high', 'min(max(x, low), high)', clamp),
  mix: three('a b t', 'a (1 - t) + b t', (a, b, t) => add(mul(a, sub(f(1), t)), mul(b, t))),
  fma: three('a b c', 'a b + c', (a, b, c) => add(mul(a, b), c)),
  smoothstep: three(
    'low high x',
    '3 t² - 2 t³ of t = (x - low) / (high - low) held in 0 … 1',
    (low, high, x) => {
      const t = clamp(div(sub(x, low), sub(high, low)), f(0), f(1));
      return mul(mul(t, t), sub(f(3), mul(f(2), t)));
    },
  ),
  select: three(
    'no yes condition',
    'yes where the condition holds, else no (the order of WGSL)',
    (no, yes, c) => instruction('select', [c, yes, no]),
  ),
  f32: to('f32', 'as f32'),
  i32: to('i32', 'as i32: truncates, saturates'),
  u32: to('u32', 'as u32: truncates, saturates'),
  bool: to('bool', 'whether x is not 0'),
};

/** Constants by name; they take the type of what they stand beside, as numbers do. */
export const constants: Readonly<Record<string, number>> = {
  pi: Math.PI,
  e: Math.E,
  inf: Number.POSITIVE_INFINITY,
  nan: Number.NaN,
};
