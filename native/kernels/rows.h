// What elementwise programs and norms compute, bit for bit, for kernels whose vectors are those of
// weights_simd.h.
#pragma once
#include "kernel.h"

namespace ingot::INGOT_NS {

// How a gate acts on what goes through it.
struct Gate {
  int glu;
  // The gate is at most `limit`, up within +- limit; 0: no limit. gate sigmoid(alpha gate) in place of the
  // activation; 0: the activation. `offset` is added to up.
  float limit = 0, alpha = 0, offset = 0;
};

// gate = act(gate) * (up + offset), 16 lanes of each.
void gate_panel(const Gate& how, float* gate, const float* up);

// y = x * rsqrt(mean x^2 + eps) * (w + offset); w may be null, y may be x.
void normalize_row(const float* x, const float* w, float eps, float offset, float* y, int64_t n);

}  // namespace ingot::INGOT_NS
