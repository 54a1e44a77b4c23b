// `linear`: y = (residual +) norm(x) Wᵀ + bias for several matrices of one input, or the gated pair of a
// feed-forward block. One row streams the weights, some rows pass over each packed panel several times, many
// reuse every unpacked panel.
#include "linear_core.h"
#include "signatures/linear.h"

namespace ingot::INGOT_NS {

namespace {

constexpr int kMaxSegments = 8;

struct Segment {
  Weights w;
  Output out;
};

struct Problem {
  const float* x;
  int64_t rows, K;
  Norm norm;
  bool exact;
  bool twice;   // `fine` precision: int8 activations plus their int8 errors, as accurate as 15 bits
  bool passes;  // all matrices are multiplied with int8 activations
  int glu, segments;
  Segment seg[kMaxSegments];
  Need need;
  // Rows that go through the int8 kernels.
  int64_t passes_rows() const { return twice ? 2 * rows : rows; }
  bool few() const { return rows <= kFewRowsMax; }
  bool some() const { return !few() && passes && passes_rows() <= kPassRowsMax; }
  bool many() const { return !few() && !some(); }
};

// Fills the problem; returns what is wrong with params or buffers, or null.
const char* read_problem(const Args& args, Problem& p) {
  if (const char* problem = LinearArgs::mismatch(args)) return problem;
  const LinearArgs a(args);
  p.rows = a.rows();
  p.K = a.K();
  p.twice = a.precision() == kFine;
  p.exact = a.precision() == kExact;
  p.glu = a.glu();
  if (a.segment_count() < 1 || a.segment_count() > kMaxSegments) return "linear: 1 to 8 segments";
  p.segments = int(a.segment_count());
  if (p.rows < 0 || p.rows >= kMaxRows) return "linear: the number of rows is out of range";
  if (p.glu < kNoGlu || p.glu >= kGlus) return "linear: unknown glu code";
  if (p.glu != kNoGlu && p.segments != 2) return "linear: a glu needs two segments, gate and up";
  const float* residual = a.residual();
  if (residual && p.glu == kNoGlu && p.segments != 1) return "linear: a residual needs a single output";
  p.x = a.x();
  p.norm = {a.norm_weight(), a.norm_eps(), a.norm_offset()};
  p.passes = true;
  for (int s = 0; s < p.segments; s++) {
    const LinearArgs::Segment given = a.segments(s);
    Segment& g = p.seg[s];
    if (const char* problem = describe_weights(g.w, given.w(), p.K, given)) return problem;
    if (given.w_buf().bytes < g.w.bytes())
      return "linear: the packed weights are smaller than N, K and the layout need";
    if (given.bias() && given.bias_buf().bytes < g.w.N * 4) return "linear: the bias is shorter than N";
    const bool writes = p.glu == kNoGlu || s == 0;
    if (writes && given.y_buf().bytes / 4 / g.w.N < p.rows) return "linear: y is smaller than rows x N";
    g.out = {given.y(), given.bias(), residual, g.w.N, g.w.N};
    p.passes &= uses_int8(g.w, p.exact);
    if (residual && writes && a.residual_buf().bytes / 4 / g.w.N < p.rows)
      return "linear: the residual is smaller than rows x N";
  }
  p.need = {};
  for (int s = 0; s < p.segments; s++) p.need.add(p.seg[s].w, p.exact, p.many(), !p.twice);
  if (p.glu != kNoGlu && p.seg[0].w.N != p.seg[1].w.N) return "linear: gate and up differ in N";
  if (a.x_buf().bytes / 4 / p.K < p.rows) return "linear: x is smaller than rows x K";
  if (a.norm_weight() && a.norm_weight_buf().bytes / 4 < p.K)
    return "linear: the norm weight is shorter than K";
  return nullptr;
}

const char* check(const Args& a) {
  Problem p;
  return read_problem(a, p);
}

size_t shared_bytes(const Args& a, int) {
  Problem p;
  if (read_problem(a, p) || p.few()) return 0;
  const int64_t rows = min64(p.rows, kChunkRows);
  return size_t(many_bytes(rows, p.K, p.need, p.twice) + (p.need.tiles ? tile_bytes(rows, p.K) : 0));
}

int64_t total_panels(const Problem& p) {
  int64_t n = 0;
  for (int s = 0; s < (p.glu == kNoGlu ? p.segments : 1); s++) n += p.seg[s].w.panels();
  return n;
}

// Products of a panel with all rows -> out [rows][16]; or of `panels` with one row.
void few_sums(const Problem& p, const Weights& w, int64_t panel, int panels, const Acts& acts, float* out) {
  const bool twice = p.twice && uses_int8(w, p.exact);
  few_rows(w, panel, acts, nullptr, int(twice ? 2 * p.rows : p.rows), p.exact, out, panels);
  for (int64_t i = 0; twice && i < p.rows * 16; i++) out[i] += out[p.rows * 16 + i];
}

// One panel, or more of the `left` that follow each other; how many.
int few_panels(const Problem& p, const Acts& acts, int64_t panel, int64_t left) {
  alignas(64) float sums[kPassRowsMax * 16], up[kPassRowsMax * 16];
  int s = 0;
  if (p.glu == kNoGlu)
    while (panel >= p.seg[s].w.panels()) panel -= p.seg[s++].w.panels();
  const Weights& w = p.seg[s].w;
  const bool mixed = p.glu != kNoGlu && p.seg[1].w.layout != w.layout;
  const int n = mixed ? 1 : panels_at_once(w, p.rows, p.exact, min64(left, w.panels() - panel));
  few_sums(p, w, panel, n, acts, sums);
  if (p.glu != kNoGlu) few_sums(p, p.seg[1].w, panel, n, acts, up);
  for (int64_t i = 0; i < n * p.rows; i++) {
    const int64_t row = n > 1 ? 0 : i, q = n > 1 ? panel + i : panel;
    if (p.glu == kNoGlu) finish_row(p.seg[s].out, row, q, sums + i * 16);
    else finish_glu_row(p.seg[0].out, p.seg[1].out.bias, Gate{p.glu}, row, q, sums + i * 16, up + i * 16);
  }
  return n;
}

void run_few(const Problem& p, Ctx& c) {
  Arena arena{p.few() ? c.scratch : c.team->shared};
  const Acts acts = p.few() ? prepare_few(p.x, p.rows, p.K, p.norm, p.need, arena, p.twice)
                            : prepare_many(p.x, p.rows, p.K, p.norm, p.need, c, arena, p.twice);
  if (!p.few()) c.barrier();
  share_panels(total_panels(p), p.rows, c, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end;) panel += few_panels(p, acts, panel, end - panel);
  });
}

void fetch(const Args& a, const Ctx& c) {
  Problem p;
  if (read_problem(a, p) || p.many() || p.rows == 0) return;
  int64_t panel = fixed_share(total_panels(p), c.nthreads) * c.tid;
  int s = 0;
  if (p.glu == kNoGlu)
    while (panel >= p.seg[s].w.panels()) panel -= p.seg[s++].w.panels();
  const Weights& w = p.seg[s].w;
  prefetch_lines(w.panel(panel), min64(kHeadBytes, (w.panels() - panel) * w.panel_bytes));
}

// Pair `i` of the problem: panels of segment `s`, the first of them `panel`; of gate and up with a glu.
struct PairAt {
  PanelPair pair;
  int s;
  int64_t panel;
  bool both;
};

PairAt pair_at(const Problem& p, int64_t i) {
  if (p.glu != kNoGlu)
    return {{&p.seg[0].w, &p.seg[1].w, p.seg[0].w.panel(i), p.seg[1].w.panel(i)}, 0, i, false};
  int s = 0;
  while (i >= div_up(p.seg[s].w.panels(), 2)) i -= div_up(p.seg[s++].w.panels(), 2);
  const Weights& w = p.seg[s].w;
  const bool both = 2 * i + 1 < w.panels();
  return {{&w, &w, w.panel(2 * i), w.panel(2 * i + (both ? 1 : 0))}, s, 2 * i, both};
}

// Sums of a pair for `rows` rows from `row` on -> y. `up`: where the up projection's lanes are.
void finish_pair(const Problem& p, const PairAt& at, int64_t row, int64_t rows, const float* C,
                 const float* up) {
  for (int64_t r = 0; r < rows; r++) {
    if (p.glu != kNoGlu) {
      finish_glu_row(p.seg[0].out, p.seg[1].out.bias, {p.glu}, row + r, at.panel, C + r * 32, up + r * 32);
      continue;
    }
    finish_row(p.seg[at.s].out, row + r, at.panel, C + r * 32);
    if (at.both) finish_row(p.seg[at.s].out, row + r, at.panel + 1, C + r * 32 + 16);
  }
}

// Pairs [first, first + n_pairs), all on tiles, for rows [r0, r0 + n) of the chunk that starts at row `base`.
void tile_pairs(const Problem& p, const TileActs& tiles, int64_t first, int64_t n_pairs, int64_t base,
                int64_t r0, int64_t n, uint8_t* scratch) {
  Arena arena{scratch};
  const int64_t step = round_up(n, 16) * 32;
  float* C = arena.take<float>(n_pairs * step * 4);
  PairAt at[kTilePairs];
  PanelPair pairs[kTilePairs];
  for (int64_t q = 0; q < n_pairs; q++) at[q] = pair_at(p, first + q), pairs[q] = at[q].pair;
  gemm_tiles(pairs, n_pairs, tiles, r0, n, arena.at, C);
  for (int64_t q = 0; q < n_pairs; q++) finish_pair(p, at[q], base + r0, n, C + q * step, C + q * step + 16);
}

// C [n][32] of a pair on the int8 or f32 kernel. `errors`: rows from the first to its rounding error, 0 when
// it has none.
void gemm_rows(const PanelPair& pair, const Acts& acts, int64_t n, bool exact, int64_t errors, Arena arena,
               float* C) {
  gemm_pair(pair, acts, nullptr, n, exact, arena.at, C);
  if (!errors || !uses_int8(*pair.w, exact)) return;
  float* E = arena.take<float>(n * 32 * 4);
  Acts rest = acts;
  rest.q += errors * acts.q_stride;
  gemm_pair(pair, rest, nullptr, n, exact, arena.at, E);
  for (int64_t k = 0; k < n * 32; k++) C[k] += E[k];
}

// The same as tile_pairs for one pair on the int8 or f32 kernel. `errors` as above.
void many_pair(const Problem& p, const Acts& acts, int64_t errors, int64_t i, int64_t base, int64_t r0,
               int64_t n, uint8_t* scratch) {
  Arena arena{scratch};
  float* C = arena.take<float>(kChunkRows * 32 * 4);
  Acts rows = acts;
  if (rows.q) rows.q += r0 * rows.q_stride;
  if (rows.x) rows.x += r0 * rows.x_stride;
  const PairAt at = pair_at(p, i);
  const PanelPair& pair = at.pair;
  if (pair.w->layout == pair.w2->layout && pair.w->group == pair.w2->group &&
      pair.w->meta_dtype == pair.w2->meta_dtype) {
    gemm_rows(pair, rows, n, p.exact, errors, arena, C);
    return finish_pair(p, at, base + r0, n, C, C + 16);
  }
  float* U = arena.take<float>(kChunkRows * 32 * 4);
  gemm_rows({pair.w, pair.w, pair.first, pair.first}, rows, n, p.exact, errors, arena, C);
  gemm_rows({pair.w2, pair.w2, pair.second, pair.second}, rows, n, p.exact, errors, arena, U);
  finish_pair(p, at, base + r0, n, C, U);
}

int64_t total_pairs(const Problem& p) {
  if (p.glu != kNoGlu) return p.seg[0].w.panels();
  int64_t n = 0;
  for (int s = 0; s < p.segments; s++) n += div_up(p.seg[s].w.panels(), 2);
  return n;
}

void run_many(const Problem& p, Ctx& c) {
  const int64_t pairs = total_pairs(p);
  for (int64_t base = 0; base < p.rows; base += kChunkRows) {
    const int64_t rows = min64(kChunkRows, p.rows - base);
    if (base) c.reset_next();
    Arena shared{c.team->shared};
    const Acts acts = prepare_many(p.x + base * p.K, rows, p.K, p.norm, p.need, c, shared, p.twice);
    const TileActs tiles = prepare_tiles(p.x + base * p.K, nullptr, rows, p.K, p.norm, p.need, c, shared);
    c.barrier();
    // Few pairs for many workers: share out the rows too, in pieces that keep unpacking a small part.
    const int64_t split = max64(1, min64(div_up(int64_t(c.nthreads) * 4, pairs), rows / 128));
    const int64_t step = round_up(div_up(rows, split), 96), blocks = div_up(rows, step);
    const int64_t together =
        p.need.tiles ? max64(1, min64(kTilePairs, pairs / (int64_t(c.nthreads) * 4))) : 1;
    const int64_t items = div_up(pairs, together);
    TileSession session(p.need.tiles);
    for (int64_t i; (i = c.next(items * blocks)) >= 0;) {
      const int64_t r0 = i % blocks * step, n = min64(step, rows - r0), first = i / blocks * together;
      if (p.need.tiles) tile_pairs(p, tiles, first, min64(together, pairs - first), base, r0, n, c.scratch);
      else many_pair(p, acts, p.twice ? rows : 0, first, base, r0, n, c.scratch);
    }
  }
}

void run(const Args& a, Ctx& c) {
  Problem p;
  read_problem(a, p);
  if (p.rows == 0) return;
  if (p.many()) run_many(p, c);
  else run_few(p, c);
}

constexpr KernelDef defs[] = {{"linear", run, shared_bytes, check, fetch}};

}  // namespace

extern const Table linear_table = {defs, 1};

}  // namespace ingot::INGOT_NS
