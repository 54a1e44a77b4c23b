// `embed`: y[row] = scale * row ids[row] of a packed matrix, dequantised.
#include "weights_unpack.h"
#include "signatures/embed.h"

namespace ingot::INGOT_NS {

namespace {

struct Problem {
  const int32_t* ids;
  Weights w;
  float* y;
  int64_t rows;
  float scale;
};

const char* read_problem(const Args& args, Problem& p) {
  if (const char* problem = EmbedArgs::mismatch(args)) return problem;
  const EmbedArgs a(args);
  p.rows = a.rows();
  if (p.rows < 0 || p.rows >= kMaxRows) return "embed: the number of rows is out of range";
  const char* problem = describe_weights(p.w, a.w(), a.K(), a);
  if (problem) return problem;
  if (a.w_buf().bytes < p.w.bytes())
    return "embed: the packed weights are smaller than N, K and the layout need";
  if (a.ids_buf().bytes / 4 < p.rows) return "embed: there are fewer ids than rows";
  if (a.y_buf().bytes / 4 / p.w.K < p.rows) return "embed: y is smaller than rows x K";
  p.ids = a.ids();
  p.y = a.y();
  p.scale = a.scale();
  return nullptr;
}

// One lane of a panel. A row is a sixteenth of its panel's cache lines whatever is done, so the panel is
// unpacked in pieces and the lane picked out.
template <int L>
void copy_row(const Weights& w, const uint8_t* panel, int lane, float scale, float* y) {
  constexpr int64_t step = 64;
  alignas(64) float columns[step * 16];
  for (int64_t k0 = 0; k0 < w.K; k0 += step) {
    const int64_t n = min64(step, w.K - k0);
    unpack_floats<L>(w, panel, k0, n, columns);
    for (int64_t k = 0; k < n; k++) y[k0 + k] = columns[k * 16 + lane] * scale;
  }
}

void run(const Args& a, Ctx& c) {
  Problem p;
  read_problem(a, p);
  int64_t begin, end;
  c.range(p.rows, begin, end);
  for (int64_t r = begin; r < end; r++) {
    const int64_t id = p.ids[r];
    if (id < 0 || id >= p.w.N) {
      c.fail("embed: id %d is outside 0 to %d", int(id), int(p.w.N - 1));
      return;
    }
    with_layout(p.w.layout, [&]<int L>() {
      copy_row<L>(p.w, p.w.panel(id / 16), int(id % 16), p.scale, p.y + r * p.w.K);
    });
  }
}

const char* check(const Args& a) {
  Problem p;
  return read_problem(a, p);
}

constexpr KernelDef defs[] = {{"embed", run, nullptr, check}};

}  // namespace

extern const Table embed_table = {defs, 1};

}  // namespace ingot::INGOT_NS
