// Gate activations, vectorised, and writing sixteen results of a panel to a row of y.
#pragma once
#include "rows.h"
#include "weights_simd.h"

namespace ingot::INGOT_NS {

// Where the results of one matrix go.
struct Output {
  float* y;
  const float* bias;      // [N] or null
  const float* residual;  // as y, or null; may be y itself
  int64_t stride;         // of y and residual
  int64_t N;
};

// Finishes lanes 16p … of one row: sums -> y.
INGOT_INLINE void finish_row(const Output& o, int64_t row, int64_t p, const float* sums) {
  const int n = int(min64(kPanelRows, o.N - p * kPanelRows));
  const int64_t at = row * o.stride + p * kPanelRows;
  for (int part = 0; part < kParts; part++) {
    const int left = n - part * kW;
    if (left <= 0) return;
    vf v = load(sums + part * kW);
    if (o.bias) v += load_lanes(o.bias + p * kPanelRows + part * kW, left);
    if (o.residual) v += load_lanes(o.residual + at + part * kW, left);
    store_lanes(o.y + at + part * kW, v, left);
  }
}

// The same for a gated pair: y = act(gate + biasGate) * (up + biasUp) (+ residual).
INGOT_INLINE void finish_glu_row(const Output& o, const float* up_bias, const Gate& how, int64_t row,
                                 int64_t p, const float* gate, const float* up) {
  const int n = int(min64(kPanelRows, o.N - p * kPanelRows));
  const int64_t at = p * kPanelRows;
  alignas(64) float g[kPanelRows] = {}, u[kPanelRows] = {};
  for (int part = 0; part < kParts; part++) {
    const int first = part * kW, left = n - first;
    if (left <= 0) break;
    vf v = load(gate + first), w = load(up + first);
    if (o.bias) v += load_lanes(o.bias + at + first, left);
    if (up_bias) w += load_lanes(up_bias + at + first, left);
    store(g + first, v);
    store(u + first, w);
  }
  gate_panel(how, g, u);
  finish_row({o.y, nullptr, o.residual, o.stride, o.N}, row, p, g);
}

}  // namespace ingot::INGOT_NS
