// Tile programs: every instruction against its definition in double, function accuracy in ulps, broadcasting,
// dtypes.
#include <algorithm>

#include "ops_test.h"
#include "tile_opcodes.h"

namespace ingot::tests {
namespace {

using Words = std::vector<uint32_t>;

uint32_t word(float f) {
  uint32_t w;
  std::memcpy(&w, &f, 4);
  return w;
}
float value(uint32_t w) {
  float f;
  std::memcpy(&f, &w, 4);
  return f;
}

// Runs one instruction over whole registers of 32-bit words.
Words apply(Report& report, Level level, int op, std::vector<Words> in, std::vector<double> kinds,
            double out_kind) {
  const double n = double(in[0].size());
  Words out(in[0].size(), 0xdeadbeef);
  Call call(level, "tile");
  for (auto& words : in) call.buf(words);
  call.buf(out);
  call.params({n, double(in.size()), 1, 1, n});
  for (double kind : kinds) call.params({kind, 1});
  const double inputs = double(in.size());
  call.params({out_kind, 0, 1, double(op), inputs, 0, inputs > 1 ? 1. : 0., inputs > 2 ? 2. : 0., inputs});
  const std::string message = call.run(report.threads());
  report.expect(message.empty(), "tile: " + message);
  return out;
}

struct Function {
  const char* name;
  int op;
  double (*f)(double);
  double lo, hi, ulps;
  double absolute;  // allowed besides the ulps
};
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double gelu_erf(double x) { return 0.5 * x * std::erfc(-x * M_SQRT1_2); }

const Function functions[] = {
    {"exp", op_exp_f32, std::exp, -110, 90, 2, 0},
    {"expm1", op_expm1_f32, std::expm1, -30, 80, 3, 0},
    {"expm1 near 0", op_expm1_f32, std::expm1, -1e-3, 1e-3, 3, 0},
    {"log", op_log_f32, std::log, 1e-40, 1e-3, 2, 0},
    {"log", op_log_f32, std::log, 1e-3, 3, 2, 0},
    {"log", op_log_f32, std::log, 3, 3e38, 2, 0},
    {"log1p", op_log1p_f32, std::log1p, -0.9999, 10, 4, 0},
    {"log1p near 0", op_log1p_f32, std::log1p, -1e-4, 1e-4, 4, 0},
    {"sin", op_sin_f32, std::sin, -10, 10, 2, kEps},
    {"sin", op_sin_f32, std::sin, -1e6, 1e6, 2, kEps},
    {"sin beyond the reduced range", op_sin_f32, std::sin, 1e6, 1e9, 2, kEps},
    {"cos", op_cos_f32, std::cos, -10, 10, 2, kEps},
    {"cos", op_cos_f32, std::cos, -1e6, 1e6, 2, kEps},
    {"tan", op_tan_f32, std::tan, -1.5, 1.5, 5, kEps},
    {"tanh", op_tanh_f32, std::tanh, -12, 12, 6, 0},
    {"tanh near 0", op_tanh_f32, std::tanh, -0.01, 0.01, 4, 0},
    {"sigmoid", op_sigmoid_f32, sigmoid, -80, 80, 4, 0},
    {"erf", op_erf_f32, std::erf, -5, 5, 4, 0},
    {"erf near 0", op_erf_f32, std::erf, -0.01, 0.01, 4, 0},
    {"silu", op_silu_f32, [](double x) { return x * sigmoid(x); }, -80, 80, 5, 0},
    {"gelu_tanh", op_gelu_tanh_f32, gelu_tanh, -6, 20, 0, 16 * kEps},
    {"gelu_erf", op_gelu_erf_f32, gelu_erf, -12, 20, 5, 8 * kEps},
    {"sqrt", op_sqrt_f32, std::sqrt, 0, 1e30, 1, 0},
    {"rsqrt", op_rsqrt_f32, [](double x) { return 1 / std::sqrt(x); }, 1e-20, 1e20, 2, 0},
    {"reciprocal", op_reciprocal_f32, [](double x) { return 1 / x; }, -100, 100, 1, 0},
    {"square", op_square_f32, [](double x) { return x * x; }, -100, 100, 1, 0},
    {"floor", op_floor_f32, std::floor, -20, 20, 0, 0},
    {"floor", op_floor_f32, std::floor, -2e7, 2e7, 0, 0},
    {"ceil", op_ceil_f32, std::ceil, -20, 20, 0, 0},
    {"round", op_round_f32, std::nearbyint, -20, 20, 0, 0},
    {"round", op_round_f32, std::nearbyint, -2e7, 2e7, 0, 0},
    {"trunc", op_trunc_f32, std::trunc, -20, 20, 0, 0},
    {"neg", op_neg_f32, [](double x) { return -x; }, -5, 5, 0, 0},
    {"abs", op_abs_f32, [](double x) { return std::fabs(x); }, -5, 5, 0, 0},
};

// Spread evenly over the range and over its exponents, with halves for the rounding functions.
Words sample_range(const Function& f, Random& random) {
  Words x;
  for (int i = 0; i < 20000; i++) {
    double v = random.uniform(f.lo, f.hi);
    if (i % 4 == 1) v = std::nearbyint(v) + 0.5;
    if (i % 4 == 2 && f.lo > 0) v = std::exp(random.uniform(std::log(f.lo), std::log(f.hi)));
    if (i % 4 == 2 && f.lo <= 0) v = std::copysign(std::exp(random.uniform(-30, std::log(f.hi))), v);
    if (v >= f.lo && v <= f.hi) x.push_back(word(float(v)));
  }
  return x;
}

void accuracy(Report& report, Level level) {
  Random random(3);
  for (const Function& f : functions) {
    const Words x = sample_range(f, random), y = apply(report, level, f.op, {x}, {dF32}, dF32);
    std::vector<double> want, bound;
    std::vector<float> got;
    for (size_t i = 0; i < x.size(); i++) {
      const double exact = f.f(double(value(x[i])));
      got.push_back(value(y[i]));
      want.push_back(std::fabs(exact) > 3.4028235e38 ? std::copysign(HUGE_VAL, exact) : exact);
      const double ulp = std::ldexp(1.0, std::max(-149, (exact == 0 ? -149 : std::ilogb(exact)) - 23));
      bound.push_back(f.ulps * ulp + f.absolute * std::max(1.0, std::fabs(exact)));
      if (std::fabs(exact) > 3.4e38 && std::isinf(got.back())) want.back() = double(got.back());
    }
    report.near(f.name, got.data(), want, bound);
  }
}

void special_values(Report& report, Level level) {
  const float inf = HUGE_VALF, nan = NAN;
  const auto expect = [&](const char* name, int op, std::vector<float> in, std::vector<float> want) {
    Words x;
    for (float v : in) x.push_back(word(v));
    const Words y = apply(report, level, op, {x}, {dF32}, dF32);
    for (size_t i = 0; i < in.size(); i++) {
      const float got = value(y[i]);
      const bool same = std::isnan(want[i]) ? std::isnan(got)
                                            : got == want[i] && std::signbit(got) == std::signbit(want[i]);
      if (!same)
        report.expect(false, std::string(name) + "(" + std::to_string(in[i]) + ") = " + std::to_string(got));
    }
  };
  expect("exp", op_exp_f32, {inf, -inf, nan, 0.f, 100.f, -200.f}, {inf, 0.f, nan, 1.f, inf, 0.f});
  expect("expm1", op_expm1_f32, {inf, -inf, nan, 0.f, -0.f}, {inf, -1.f, nan, 0.f, -0.f});
  expect("log", op_log_f32, {0.f, -1.f, inf, nan, 1.f}, {-inf, nan, inf, nan, 0.f});
  expect("log1p", op_log1p_f32, {-1.f, -2.f, inf, nan, 0.f}, {-inf, nan, inf, nan, 0.f});
  expect("tanh", op_tanh_f32, {inf, -inf, nan, 0.f, -0.f, 50.f}, {1.f, -1.f, nan, 0.f, -0.f, 1.f});
  expect("sigmoid", op_sigmoid_f32, {inf, -inf, nan, 0.f, -200.f}, {1.f, 0.f, nan, 0.5f, 0.f});
  expect("erf", op_erf_f32, {inf, -inf, nan, 0.f}, {1.f, -1.f, nan, 0.f});
  expect("gelu_erf", op_gelu_erf_f32, {inf, nan, 0.f}, {inf, nan, 0.f});
  expect("silu", op_silu_f32, {inf, nan, 0.f}, {inf, nan, 0.f});
  expect("sin", op_sin_f32, {0.f, -0.f, inf, nan}, {0.f, -0.f, nan, nan});
  expect("cos", op_cos_f32, {0.f, inf, nan}, {1.f, nan, nan});
  expect("sign", op_sign_f32, {-3.f, 2.f, 0.f, nan, -inf}, {-1.f, 1.f, 0.f, nan, -1.f});
  expect("floor", op_floor_f32, {-0.f, inf, -inf, nan, 0.99f, -0.01f}, {-0.f, inf, -inf, nan, 0.f, -1.f});
  expect("round", op_round_f32, {0.5f, 1.5f, 2.5f, -0.5f, inf, nan, 8388609.f},
         {0.f, 2.f, 2.f, -0.f, inf, nan, 8388609.f});
  expect("trunc", op_trunc_f32, {-1.7f, 1.7f, -0.2f, inf}, {-1.f, 1.f, -0.f, inf});
}

// The integer and two-operand instructions, defined once more here.
int32_t floor_div(int64_t a, int64_t b) {
  if (b == 0) return 0;
  const int64_t q = a / b;
  return int32_t(uint32_t(q - (a % b != 0 && (a < 0) != (b < 0))));
}
int32_t floor_mod(int64_t a, int64_t b) {
  if (b == 0) return 0;
  const int64_t r = a % b;
  return int32_t(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}
using Binary = uint32_t (*)(uint32_t, uint32_t);
struct Instruction {
  const char* name;
  int op;
  int in, out;
  Binary f;
};
#define F(expr)                                        \
  [](uint32_t x, uint32_t y) -> uint32_t {             \
    [[maybe_unused]] float a = value(x), b = value(y); \
    return expr;                                       \
  }
#define I(expr)                                              \
  [](uint32_t x, uint32_t y) -> uint32_t {                   \
    [[maybe_unused]] int32_t a = int32_t(x), b = int32_t(y); \
    return uint32_t(expr);                                   \
  }
#define U(expr)                            \
  [](uint32_t a, uint32_t b) -> uint32_t { \
    (void)b;                               \
    return expr;                           \
  }
#define ALL_COMPARISONS(kind, code, M)                                                                      \
  {"eq " #kind, op_eq_##kind, code, dBool, M(a == b)}, {"ne " #kind, op_ne_##kind, code, dBool, M(a != b)}, \
      {"lt " #kind, op_lt_##kind, code, dBool, M(a < b)},                                                   \
      {"le " #kind, op_le_##kind, code, dBool, M(a <= b)},                                                  \
      {"gt " #kind, op_gt_##kind, code, dBool, M(a > b)}, {                                                 \
    "ge " #kind, op_ge_##kind, code, dBool, M(a >= b)                                                       \
  }
float float_mod(float a, float b) {
  const float r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
double saturate(double x, double lo, double hi) {
  return std::isnan(x) ? 0 : std::min(std::max(std::trunc(x), lo), hi);
}

const Instruction instructions[] = {
    {"add f32", op_add_f32, dF32, dF32, F(word(a + b))},
    {"sub f32", op_sub_f32, dF32, dF32, F(word(a - b))},
    {"mul f32", op_mul_f32, dF32, dF32, F(word(a * b))},
    {"div f32", op_div_f32, dF32, dF32, F(word(a / b))},
    {"mod f32", op_mod_f32, dF32, dF32, F(word(float_mod(a, b)))},
    {"pow f32", op_pow_f32, dF32, dF32, F(word(std::pow(a, b)))},
    {"min f32", op_min_f32, dF32, dF32, F(std::isnan(a) || std::isnan(b) ? word(NAN) : word(a < b ? a : b))},
    {"max f32", op_max_f32, dF32, dF32, F(std::isnan(a) || std::isnan(b) ? word(NAN) : word(a > b ? a : b))},
    {"isnan", op_isnan_f32, dF32, dBool, F(std::isnan(a))},
    ALL_COMPARISONS(f32, dF32, F),
    ALL_COMPARISONS(i32, dI32, I),
    ALL_COMPARISONS(u32, dU32, U),
    {"add i32", op_add_i32, dI32, dI32, U(a + b)},
    {"sub i32", op_sub_i32, dI32, dI32, U(a - b)},
    {"mul i32", op_mul_i32, dI32, dI32, U(a * b)},
    {"div i32", op_div_i32, dI32, dI32, I(floor_div(a, b))},
    {"mod i32", op_mod_i32, dI32, dI32, I(floor_mod(a, b))},
    {"min i32", op_min_i32, dI32, dI32, I(std::min(a, b))},
    {"max i32", op_max_i32, dI32, dI32, I(std::max(a, b))},
    {"neg i32", op_neg_i32, dI32, dI32, U(0u - a)},
    {"abs i32", op_abs_i32, dI32, dI32, I(a < 0 ? 0u - x : x)},
    {"sign i32", op_sign_i32, dI32, dI32, I((a > 0) - (a < 0))},
    {"and i32", op_and_i32, dI32, dI32, U(a & b)},
    {"or i32", op_or_i32, dI32, dI32, U(a | b)},
    {"xor i32", op_xor_i32, dI32, dI32, U(a ^ b)},
    {"not i32", op_not_i32, dI32, dI32, U(~a)},
    {"shl i32", op_shl_i32, dI32, dI32, U(a << (b & 31))},
    {"shr i32", op_shr_i32, dI32, dI32, I(a >> (b & 31))},
    {"add u32", op_add_u32, dU32, dU32, U(a + b)},
    {"sub u32", op_sub_u32, dU32, dU32, U(a - b)},
    {"mul u32", op_mul_u32, dU32, dU32, U(a * b)},
    {"div u32", op_div_u32, dU32, dU32, U(b == 0 ? 0 : a / b)},
    {"mod u32", op_mod_u32, dU32, dU32, U(b == 0 ? 0 : a % b)},
    {"min u32", op_min_u32, dU32, dU32, U(std::min(a, b))},
    {"max u32", op_max_u32, dU32, dU32, U(std::max(a, b))},
    {"and u32", op_and_u32, dU32, dU32, U(a & b)},
    {"or u32", op_or_u32, dU32, dU32, U(a | b)},
    {"xor u32", op_xor_u32, dU32, dU32, U(a ^ b)},
    {"not u32", op_not_u32, dU32, dU32, U(~a)},
    {"shl u32", op_shl_u32, dU32, dU32, U(a << (b & 31))},
    {"shr u32", op_shr_u32, dU32, dU32, U(a >> (b & 31))},
    {"f32 to i32", op_f32_to_i32, dF32, dI32, F(uint32_t(int32_t(saturate(a, -2147483648., 2147483647.))))},
    {"f32 to u32", op_f32_to_u32, dF32, dU32, F(uint32_t(saturate(a, 0, 4294967295.)))},
    {"f32 to bool", op_f32_to_bool, dF32, dBool, F(a != 0)},
    {"i32 to f32", op_i32_to_f32, dI32, dF32, I(word(float(a)))},
    {"u32 to f32", op_u32_to_f32, dU32, dF32, U(word(float(a)))},
    {"i32 to bool", op_i32_to_bool, dI32, dBool, U(a != 0)},
    {"u32 to bool", op_u32_to_bool, dU32, dBool, U(a != 0)},
    {"i32 to u32", op_i32_to_u32, dI32, dU32, U(a)},
    {"u32 to i32", op_u32_to_i32, dU32, dI32, U(a)},
};

Words interesting(int kind, Random& random, uint64_t salt) {
  Words x;
  for (int i = 0; i < 1003; i++) {
    if (kind == dF32) {
      static const float specials[] = {0.f,       -0.f,       1.f, -1.f, 0.5f,  2.f,  -3.f,
                                       HUGE_VALF, -HUGE_VALF, NAN, 3e9f, -3e9f, 5e9f, 2147483648.f};
      const uint64_t pick = (uint64_t(i) * 7 + salt) % 30;
      x.push_back(word(pick < 14 ? specials[pick] : float(random.uniform(-8, 8))));
    } else {
      static const uint32_t specials[] = {0, 1, 0xffffffffu, 0x80000000u, 0x7fffffffu, 2, 31, 32, 33};
      const uint64_t pick = (uint64_t(i) * 5 + salt) % 18;
      x.push_back(pick < 9 ? specials[pick] : uint32_t(random.integer(-1000, 1000)));
    }
  }
  return x;
}

void instruction_tests(Report& report, Level level) {
  Random random(4);
  for (const Instruction& ins : instructions) {
    const int arity = kTileArity[ins.op];
    const Words a = interesting(ins.in, random, 1), b = interesting(ins.in, random, 8);
    std::vector<Words> in{a};
    if (arity == 2) in.push_back(b);
    // a bool result is stored as bytes, so it is read through an integer output register
    const Words got = apply(report, level, ins.op, in, std::vector<double>(in.size(), ins.in),
                            ins.out == dBool ? dU32 : ins.out);
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < a.size(); i++) {
      const uint32_t want = ins.f(a[i], b[i]);
      bool same = got[i] == want;
      if (ins.out == dF32) {
        const float g = value(got[i]), w = value(want);
        same = (std::isnan(g) && std::isnan(w)) || g == w ||
               (ins.op == op_pow_f32 && std::fabs(g - w) <= 2 * kEps * std::fabs(w));
      }
      if (!same && wrong++ == 0) first = i;
    }
    if (wrong > 0) {
      char text[120];
      snprintf(text, sizeof text, "%s: %zu wrong, first f(%08x, %08x) = %08x, want %08x", ins.name, wrong,
               a[first], b[first], got[first], ins.f(a[first], b[first]));
      report.expect(false, text);
    }
  }
}

// out = select(mask, x * y + 0.5, silu(w)) with a broadcast row, a broadcast column and 16-bit and 8-bit
// operands.
void broadcasting(Report& report, Level level, int64_t A, int64_t B, int64_t C, int threads) {
  Random random(uint64_t(A * B + C));
  const int64_t n = A * B * C;
  std::vector<uint16_t> x(static_cast<size_t>(n)), out16(x.size());
  for (auto& h : x) h = half_from_float(float(random.uniform(-2, 2)));
  std::vector<float> y = random.floats(C, -2, 2), w = random.floats(A * C, -4, 4), out(x.size());
  std::vector<uint8_t> mask(static_cast<size_t>(A * B));
  for (auto& m : mask) m = uint8_t(random.integer(0, 1));
  const double a = double(A), b = double(B), c = double(C);
  Call call(level, "tile");
  call.buf(x).buf(y).buf(w).buf(mask).buf(out).buf(out16).params({double(n), 4, 2, 3, a, b, c});
  call.params({dF16, b * c, c, 1, dF32, 0, 0, 1, dF32, c, 0, 1, dBool, b, 1, 0, dF32, dF16, 1, dF32, 0.5});
  // registers: 0 x, 1 y, 2 w, 3 mask, 4 constant
  call.params({4, op_mul_f32, 5, 0, 1,         0, op_add_f32, 5, 5, 4, 0, op_silu_f32,
               6, 2,          0, 0, op_select, 5, 3,          5, 6, 5, 5});
  const std::string message = call.run(threads);
  report.expect(message.empty(), "tile: " + message);
  std::vector<double> want, bound;
  for (int64_t i = 0; i < A; i++)
    for (int64_t j = 0; j < B; j++)
      for (int64_t k = 0; k < C; k++) {
        const double wv = w[size_t(i * C + k)];
        const double first = double(float_from_half(x[size_t((i * B + j) * C + k)])) * y[size_t(k)] + 0.5;
        want.push_back(mask[size_t(i * B + j)] ? first : wv * sigmoid(wv));
        bound.push_back(8 * kEps * 5);
      }
  report.near("tile with broadcasting", out.data(), want, bound);
  for (size_t i = 0; i < out.size(); i++)
    if (out16[i] != half_from_float(out[i]))
      return report.expect(false, "tile: f16 output is not the rounded f32 output");
}

// A program of many instructions gives what its instructions give one by one, bit for bit: results that stay
// in registers, that are used again later, that stand second, and that are asked for.
void chains(Report& report, Level level, size_t n, int instructions, uint64_t seed) {
  Random random(seed);
  static const int unary[] = {op_neg_f32,  op_abs_f32, op_square_f32,    op_exp_f32,
                              op_tanh_f32, op_log_f32, op_reciprocal_f32},
                   binary[] = {op_add_f32, op_sub_f32, op_mul_f32, op_div_f32, op_min_f32, op_max_f32};
  std::vector<Words> values(4, Words(n));
  for (int r = 0; r < 4; r++) {
    const float fixed = float(random.uniform(-2, 2));
    for (auto& w : values[size_t(r)]) w = word(r < 2 ? float(random.uniform(-3, 3)) : fixed);
  }
  std::vector<double> code;
  for (int i = 0; i < instructions; i++) {
    const int64_t last = int64_t(values.size()) - 1;
    const bool two = random.integer(0, 2) > 0;
    int64_t a = random.integer(0, 3) > 0 ? last : random.integer(0, last), b = random.integer(0, last);
    if (random.integer(0, 1)) std::swap(a, b);
    const int op = two ? binary[random.integer(0, 5)] : unary[random.integer(0, 6)];
    if (!two) a = std::max(a, b);
    code.insert(code.end(), {double(op), double(last + 1), double(a), two ? double(b) : 0., 0.});
    std::vector<Words> operands{values[size_t(a)]};
    if (two) operands.push_back(values[size_t(b)]);
    values.push_back(apply(report, level, op, operands, std::vector<double>(operands.size(), dF32), dF32));
  }
  const int64_t between = random.integer(4, int64_t(values.size()) - 1);
  Words y(n), z(n);
  Call call(level, "tile");
  call.buf(values[0]).buf(values[1]).buf(y).buf(z).params({double(n), 2, 2, 1, double(n), dF32, 1, dF32, 1});
  call.params({dF32, dF32, 2, dF32, double(value(values[2][0])), dF32, double(value(values[3][0]))});
  call.params({double(instructions)});
  for (double c : code) call.params({c});
  call.params({double(values.size() - 1), double(between)});
  const std::string message = call.run(report.threads());
  report.expect(message.empty(), "tile: " + message);
  const auto same = [](const Words& got, const Words& want) {
    for (size_t i = 0; i < got.size(); i++)
      if (got[i] != want[i] && !(std::isnan(value(got[i])) && std::isnan(value(want[i])))) return false;
    return true;
  };
  report.expect(same(y, values.back()) && same(z, values[size_t(between)]),
                "a program of " + std::to_string(instructions) + " differs from its instructions, " +
                    std::to_string(n) + " elements, seed " + std::to_string(seed));
}

void in_place(Report& report, Level level) {
  std::vector<float> x(5000), want;
  for (size_t i = 0; i < x.size(); i++) x[i] = float(i) * 0.001f;
  for (float v : x) want.push_back((v + 1) * v);
  // the guard copies keep buffers apart, so build the aliasing call by hand
  const KernelDef* def = find_kernel(level, "tile");
  const Buf bufs[] = {{reinterpret_cast<uint8_t*>(x.data()), 20000},
                      {reinterpret_cast<uint8_t*>(x.data()), 20000}};
  const double params[] = {5000,       1, 1, 1, 5000, dF32,       1, dF32, 1, dF32, 1, 2,
                           op_add_f32, 2, 0, 1, 0,    op_mul_f32, 2, 2,    0, 0,    2};
  const char* message = run_kernel(*def, {bufs, 2, params, int(std::size(params))}, report.threads());
  report.expect(message == nullptr, message ? message : "");
  report.expect(x == want, "tile: output in place of an input differs");
}

void refused(Report& report, Level level) {
  std::vector<float> x(10), y(10);
  const auto message = [&](std::initializer_list<double> params) {
    return Call(level, "tile").buf(x).buf(y).params(params).run(1);
  };
  report.expect(message({10, 1, 1, 1, 10, dF32, 1, dF32, 0, 1, op_neg_f32, 1, 0, 0, 0, 1}).empty(),
                "a valid program was refused");
  report.expect(!message({11, 1, 1, 1, 11, dF32, 1, dF32, 0, 1, op_neg_f32, 1, 0, 0, 0, 1}).empty(),
                "count beyond the buffers accepted");
  report.expect(!message({10, 1, 1, 1, 10, dF32, 2, dF32, 0, 1, op_neg_f32, 1, 0, 0, 0, 1}).empty(),
                "stride beyond the input accepted");
  report.expect(!message({10, 1, 1, 1, 9, dF32, 1, dF32, 0, 1, op_neg_f32, 1, 0, 0, 0, 1}).empty(),
                "count unlike the sizes accepted");
  report.expect(!message({10, 1, 1, 1, 10, dF32, 1, dF32, 0, 1, op_neg_f32, 0, 0, 0, 0, 0}).empty(),
                "write to an input accepted");
  report.expect(!message({10, 1, 1, 1, 10, dF32, 1, dF32, 0, 1, op_neg_f32, 1, 1, 0, 0, 1}).empty(),
                "read of an unwritten register accepted");
  report.expect(!message({10, 1, 1, 1, 10, dF32, 1, dF32, 0, 1, 9999, 1, 0, 0, 0, 1}).empty(),
                "unknown instruction accepted");
  report.expect(!message({10, 1, 1, 1, 10, dF32, 1, dF32, 0, 1, op_neg_f32, 1, 0, 0, 0}).empty(),
                "missing result accepted");
}

}  // namespace

void tile_tests(Report& report) {
  report.each_level("tile", [&](Level level) {
    accuracy(report, level);
    special_values(report, level);
    instruction_tests(report, level);
    for (int threads : {1, 2, 3}) {
      broadcasting(report, level, 3, 5, 7, threads);
      broadcasting(report, level, 2, 17, 1100, threads);
      broadcasting(report, level, 1, 1, 1, threads);
      broadcasting(report, level, 64, 1, 33, threads);
    }
    for (uint64_t seed = 0; seed < 60; seed++)
      chains(report, level, seed % 3 == 0 ? 5 : seed % 3 == 1 ? 1003 : 2048, 1 + int(seed % 11), seed);
    chains(report, level, (size_t(4) << 20) + 77, 6, 1);  // past the caches
    in_place(report, level);
    refused(report, level);
  });
}

}  // namespace ingot::tests
