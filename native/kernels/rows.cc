// See rows.h: the same functions as in tile.cc and norm.cc.
#include "norm.h"
#include "rows.h"
#include "vec_math.h"

namespace ingot::INGOT_NS {

void gate_panel(const Gate& how, float* gate, const float* up) {
  const vf limit = set1(how.limit);
  for (int i = 0; i < 16; i += kW) {
    vf g = load(gate + i), u = load(up + i);
    if (how.limit != 0) g = nan_min(g, limit), u = nan_max(nan_min(u, limit), -limit);
    if (how.alpha != 0) g *= vsigmoid(g * how.alpha);
    else g = how.glu == kSilu ? vsilu(g) : how.glu == kGeluErf ? vgelu_erf(g) : vgelu_tanh(g);
    if (how.offset != 0) u += how.offset;
    store(gate + i, g * u);
  }
}

void normalize_row(const float* x, const float* w, float eps, float offset, float* y, int64_t n) {
  rms_norm_row(x, w, eps, offset, y, n);
}

extern const Table rows_table;
const Table rows_table = {nullptr, 0};

}  // namespace ingot::INGOT_NS
