// What the matrix kernels are measured against: packed weights decoded element by element in double
// precision, and the activation rounding of each precision emulated, so that only the order of f32 additions
// is left to a tolerance.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "layouts_data.h"

namespace ingot::tests {

/** `twice`: to bf16, and what that lost as well. */
enum class Rounding { none, int8, bf16, twice };

/** x as the kernel sees it: quantised per 32 with the same f32 operations, or rounded to bf16. */
inline std::vector<double> rounded(const float* x, int64_t n, Rounding how) {
  std::vector<double> y(x, x + n);
  if (how == Rounding::bf16)
    for (auto& v : y) v = bf16_value(to_bf16(float(v)));
  if (how != Rounding::int8) return y;
  for (int64_t b = 0; b < n; b += 32) {
    float amax = 0;
    for (int i = 0; i < 32; i++) amax = std::fmax(amax, std::fabs(x[b + i]));
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f, scale = amax / 127.0f;
    for (int i = 0; i < 32; i++) y[b + i] = double(scale) * std::nearbyintf(x[b + i] * inverse);
  }
  return y;
}

struct Expected {
  double value, bound;
};

/** Row n of the matrix times x; bound = terms · eps · sum of magnitudes. */
inline Expected expected_dot(const PackedMatrix& w, int64_t n, const double* x, Rounding how) {
  Expected e{0, 0};
  double ties = 0;
  for (int64_t k = 0; k < w.K; k++) {
    double v = w.values[n * w.K + k];
    if (how == Rounding::bf16) {
      // Weights that lie between two bf16 values may round either way: they are computed in f32 first.
      const double above = bf16_value(to_bf16(float(v * (1 + 0x1p-21)))),
                   below = bf16_value(to_bf16(float(v * (1 - 0x1p-21))));
      ties += std::fabs(above - below) * std::fabs(x[k]);
      v = bf16_value(to_bf16(float(v)));
    }
    e.value += v * x[k];
    e.bound += (how == Rounding::int8 ? w.parts[n * w.K + k] : std::fabs(v)) * std::fabs(x[k]);
  }
  const double terms = how == Rounding::int8 ? w.K / 16.0 + 16 : w.K + 16.0;
  e.bound *= terms * 0x1p-23 + (how == Rounding::bf16 ? 0x1p-12 : how == Rounding::twice ? 0x1p-17 : 0);
  e.bound += ties + 1e-30;
  return e;
}

inline double activated(double x, int glu) {
  if (glu == 1) return x / (1 + std::exp(-x));
  if (glu == 2) return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

}  // namespace ingot::tests
