// Causal convolution of each channel over a few positions, with the inputs before a step in the states of
// pages. Workers share channels, so a state is read before it is written, and what a row gives does not
// depend on the rows around it.
#include "pages.h"
#include "signatures/short_conv.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxTaps = 8;

struct Conv {
  const float *x, *weight, *bias;
  float *state, *y;
  const int32_t *positions, *sequences, *page_table;  // sequences and page_table may be null
  int64_t rows, C, L, slots, S, max_pages;

  explicit Conv(const ShortConvArgs& a)
      : x(a.x()),
        weight(a.weight()),
        bias(a.bias()),
        state(a.state()),
        y(a.y()),
        positions(a.positions()),
        sequences(a.sequences()),
        page_table(a.page_table()),
        rows(a.rows()),
        C(a.C()),
        L(a.taps()),
        slots(a.slots()),
        S(a.S()),
        max_pages(a.max_pages()) {}

  bool begins(int64_t row) const { return row == 0 || (sequences && sequences[row] != sequences[row - 1]); }
  bool ends(int64_t row) const { return row + 1 == rows || begins(row + 1); }
  // The state of the page of a position of this row's sequence; -1 when it has none.
  int64_t slot(int64_t row, int64_t position) const {
    if (!sequences) return 0;
    const int64_t page = page_table[sequences[row] * max_pages + position / kPage];
    return page >= 0 && page < slots ? page : -1;
  }
  bool rows_ok(Ctx& ctx) const {
    for (int64_t r = 0; r < rows; r++) {
      const bool outside =
          positions[r] < 0 ||
          (sequences && (sequences[r] < 0 || sequences[r] >= S || positions[r] >= max_pages * kPage));
      if (!outside && (!begins(r) || positions[r] == 0 || slot(r, positions[r] - 1) >= 0)) continue;
      if (ctx.tid == 0)
        ctx.fail("short_conv: row %lld at position %d has no state before it", (long long)r, positions[r]);
      return false;
    }
    return true;
  }
};

void run_short_conv(const Args& args, Ctx& ctx) {
  const Conv conv{ShortConvArgs(args)};
  if (!conv.rows_ok(ctx)) return;
  int64_t begin, end;
  ctx.range(ceil_div(conv.C, kW), begin, end);
  const int64_t c0 = begin * kW, n = min64(end * kW, conv.C) - c0, L = conv.L;
  if (n <= 0) return;
  float* weight =
      reinterpret_cast<float*>(ctx.scratch);  // [L][n], then the inputs before the sequence's rows [L - 1][n]
  float* before = weight + L * n;
  for (int64_t c = 0; c < n; c++)
    for (int64_t k = 0; k < L; k++) weight[k * n + c] = conv.weight[(c0 + c) * L + k];
  const float* taps[kMaxTaps];
  for (int64_t r = 0, start = 0; r < conv.rows; r++) {
    if (conv.begins(r)) {
      start = r;
      const int64_t slot = conv.positions[r] == 0 ? -1 : conv.slot(r, conv.positions[r] - 1);
      for (int64_t k = 0; k + 1 < L; k++) {
        if (slot < 0) std::memset(before + k * n, 0, size_t(n) * 4);
        else std::memcpy(before + k * n, conv.state + (slot * (L - 1) + k) * conv.C + c0, size_t(n) * 4);
      }
    }
    for (int64_t k = 0; k < L; k++) {
      const int64_t source = r - (L - 1 - k);
      taps[k] = source >= start ? conv.x + source * conv.C + c0 : before + (L - 1 + source - start) * n;
    }
    float* y = conv.y + r * conv.C + c0;
    for (int64_t c = 0; c < n; c++) {
      float sum = conv.bias ? conv.bias[c0 + c] : 0;
      for (int64_t k = 0; k < L; k++) sum += weight[k * n + c] * taps[k][c];
      y[c] = sum;
    }
    const bool page_ends = conv.sequences && (conv.positions[r] + 1) % kPage == 0;
    const int64_t slot = conv.ends(r) || page_ends ? conv.slot(r, conv.positions[r]) : -1;
    for (int64_t k = 0; slot >= 0 && k + 1 < L; k++)
      std::memcpy(conv.state + (slot * (L - 1) + k) * conv.C + c0, taps[k + 1], size_t(n) * 4);
  }
}

const char* check_short_conv(const Args& args) {
  if (const char* problem = ShortConvArgs::mismatch(args)) return problem;
  const ShortConvArgs a(args);
  const int64_t rows = a.rows(), C = a.C(), L = a.taps(), slots = a.slots();
  if (rows < 0 || C <= 0 || slots <= 0 || L < 2 || L > kMaxTaps)
    return "short_conv: a dimension is out of range";
  if (size_t(2 * L - 1) * size_t(C + kW) * 4 > kScratchBytes)
    return "short_conv: more channels than fit scratch";
  if (const char* problem = check_pages(a, kPage, 0)) return problem;
  if (a.state_buf().bytes < slots * (L - 1) * C * 4)
    return "short_conv: state smaller than [slots, taps - 1, channels]";
  if (a.x_buf().bytes < rows * C * 4 || a.y_buf().bytes < rows * C * 4)
    return "short_conv: x or y smaller than [rows, channels]";
  if (a.weight_buf().bytes < C * L * 4) return "short_conv: weight smaller than [channels, taps]";
  if (a.positions_buf().bytes < rows * 4) return "short_conv: fewer positions than rows";
  if (a.bias() && a.bias_buf().bytes < C * 4) return "short_conv: bias smaller than [channels]";
  return nullptr;
}

const KernelDef defs[] = {{"short_conv", run_short_conv, nullptr, check_short_conv}};

}  // namespace
extern const Table short_conv_table;
const Table short_conv_table = {defs, 1};
}  // namespace ingot::INGOT_NS
