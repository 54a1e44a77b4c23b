// sample: from rows of logits to a token each. One row is read by all workers together; of many rows each has
// one worker. The semantics (settings, order of filters, random numbers, ties) are in docs/cpu-kernels.md.
#include "sample.h"
#include "signatures/sample.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kBlock =
    2048;  // logits summed in f32 before they are added in double; fixed, for determinism
constexpr int64_t kMaxVocab = int64_t(kScratchBytes / 8);
constexpr int64_t kHeapKeys = 1024;  // a larger top-k sorts the whole vocabulary

struct Extremes {
  float max, min;      // of the finite values
  int64_t argmax, bad;  // bad: place of the first NaN or +infinity, or -1
  char pad[40];         // one cache line per worker
};

// The memory that the workers of one row share.
struct Shared {
  Extremes* extremes;   // per worker
  double* block_sums;   // of e^(x - max) at temperature 1
  uint64_t* histogram;  // per worker
  uint64_t* top;        // per worker: the best keys
  int64_t* top_counts;  // per worker

  static int64_t room(int64_t V, int64_t n) { return max64(n, min64(V, kHeapKeys)); }
  static size_t bytes(int64_t V, int64_t n, int nthreads) {
    const size_t size =
        size_t(nthreads) * (sizeof(Extremes) + Weights::kBuckets * 8 + size_t(room(V, n) + 1) * 8) +
        size_t(ceil_div(V, kBlock)) * 8;
    return (size + 63) / 64 * 64;
  }
  Shared(uint8_t* base, int64_t V, int64_t n, int nthreads) {
    extremes = reinterpret_cast<Extremes*>(base);
    block_sums = reinterpret_cast<double*>(extremes + nthreads);
    histogram = reinterpret_cast<uint64_t*>(block_sums + ceil_div(V, kBlock));
    top = histogram + int64_t(nthreads) * Weights::kBuckets;
    top_counts = reinterpret_cast<int64_t*>(top + nthreads * room(V, n));
  }
};

// The workers of one row: all of the pool, or one alone.
struct Crew {
  Ctx& ctx;
  bool alone;
  int tid() const { return alone ? 0 : ctx.tid; }
  int size() const { return alone ? 1 : ctx.nthreads; }
  void barrier() const {
    if (!alone) ctx.barrier();
  }
};

// One row: its logits, settings and places for results.
struct Request {
  const float* x;
  uint32_t* id;
  float* logprob;
  int32_t* top_ids;
  float* top_logprobs;
  int64_t V, n, top_k, top, kept;  // kept: how many of the best each worker remembers
  float temperature, top_p, min_p;
  uint32_t seed, step;
  bool greedy, histogram;

  Request(const SampleArgs& a, int64_t row) : V(a.V()), n(a.n()) {
    const RowSettings& s = a.settings_buf().as<RowSettings>()[row];
    x = a.logits() + row * V;
    id = a.out() + row;
    logprob = a.out_logprob() + row;
    top_ids = a.top_ids() + row * n;
    top_logprobs = a.top_logprobs() + row * n;
    temperature = s.temperature;
    top_p = s.top_p;
    min_p = s.min_p;
    seed = s.seed;
    step = s.step;
    greedy = !(temperature > 0);
    top_k = s.top_k >= V || greedy ? 0 : s.top_k;
    top = s.top;
    kept = max64(top_k > kHeapKeys ? 0 : top_k, top);
    histogram = !greedy && top_k == 0;
  }
};

Extremes scan(const float* x, int64_t begin, int64_t end) {
  const float inf = __builtin_inff();
  Extremes e{-inf, inf, begin, -1, {}};
  for (int64_t b = begin; b < end; b += kBlock) {
    const int64_t stop = min64(b + kBlock, end);
    vf top = set1(-inf), low = set1(inf);
    vi bad{};
    for (int64_t i = b; i < stop; i += kW) {
      const int lanes = int(min64(kW, stop - i));
      vf v = load_some(x + i, lanes);
      if (lanes < kW) v = pick(first_lanes(lanes), v, set1(x[i]));
      bad |= ~(vi)(v < set1(inf));
      top = vmax(top, v);
      low = vmin(low, pick(v > set1(-inf), v, set1(inf)));
    }
    for (int64_t i = b; any(bad) && e.bad < 0 && i < stop; i++)
      if (!(x[i] < inf)) e.bad = i;
    e.min = std::min(e.min, -hmax(-low));
    const float m = hmax(top);
    if (!(m > e.max)) continue;
    e.max = m;
    e.argmax = b;
    while (e.argmax < stop - 1 && x[e.argmax] != m) e.argmax++;
  }
  return e;
}

double exp_sum(const float* x, int64_t begin, int64_t end, float max) {
  vf sum{};
  for (int64_t i = begin; i < end; i += kW) {
    const int lanes = int(min64(kW, end - i));
    const vf e = vexp_nonpositive(load_some(x + i, lanes) - max);
    sum += lanes == kW ? e : pick(first_lanes(lanes), e, vf{});
  }
  return hsum(sum);
}

uint64_t draw_target(uint64_t total, const Request& r) {
  return uint64_t((static_cast<unsigned __int128>(total) * philox(r.seed, r.step)) >> 32);
}

// Applies top-p and min-p to tokens in descending order and draws one of what is left.
int64_t draw_sorted(const Weights& w, const float* x, const uint64_t* keys, int64_t count, const Request& r) {
  uint64_t total = 0;
  for (int64_t i = 0; i < count; i++) total += w.of(x[key_place(keys[i])]);
  if (r.top_p < 1) {
    const Cut c = cut_at(w, x, {keys, count, 0}, uint64_t(double(r.top_p) * double(total)));
    count = c.count;
    total = c.total;
  }
  if (r.min_p > 0) {
    const auto least = uint64_t(double(r.min_p) * Weights::kOne);
    while (count > 1 && w.of(x[key_place(keys[count - 1])]) < least)
      total -= w.of(x[key_place(keys[--count])]);
  }
  const Cut c = cut_at(w, x, {keys, count, 0}, draw_target(total, r) + 1);
  return key_place(keys[c.count - 1]);
}

// The same over the whole vocabulary, sorting only the buckets in which a limit falls.
int64_t draw_bucketed(const Weights& w, const float* x, const uint64_t* sums, const Request& r,
                      uint64_t* keys) {
  uint64_t total = 0, before = 0;
  int last = 0;
  for (int b = 0; b < Weights::kBuckets; b++)
    if (sums[b]) total += sums[b], last = b;
  const auto find =
      [&](uint64_t target) {  // first bucket at whose end the cumulative weight reaches the target
        int b = 0;
        for (before = 0; b < last && before + sums[b] < target; b++) before += sums[b];
        return b;
      };
  int limit = last + 1;  // the bucket that is kept in part
  int64_t kept = 0;
  uint64_t limit_before = 0;
  if (r.top_p < 1) {
    const auto target = uint64_t(double(r.top_p) * double(total));
    limit = find(target);
    limit_before = before;
    const Cut c = cut_at(w, x, {keys, w.collect(x, r.V, limit, keys), before}, target);
    kept = c.count;
    total = c.total;
  }
  if (r.min_p > 0) {
    const auto least = uint64_t(double(r.min_p) * Weights::kOne);
    const float lowest = w.max + std::log(r.min_p) / w.inverse_temperature;
    const int b = w.bucket(set1(std::min(lowest, w.max)))[0];
    if (b <= limit) {
      const int64_t count = w.collect(x, r.V, b, keys);
      uint64_t sum = 0;
      for (int i = 0; i < b; i++) sum += sums[i];
      int64_t k = 0;
      const int64_t most = b == limit ? kept : count;
      uint64_t reached = sum;
      for (; k < most; k++) {
        const uint64_t weight = w.of(x[key_place(keys[k])]);
        if (weight < least) break;
        reached += weight;
      }
      limit = b;
      kept = k;
      limit_before = sum;
      total = reached;
    }
  }
  const uint64_t target = draw_target(total, r) + 1;
  int b = find(target);
  if (b >= limit) b = limit, before = limit_before;
  int64_t count = w.collect(x, r.V, b, keys);
  if (b == limit) count = min64(count, kept);
  const Cut c = cut_at(w, x, {keys, count, before}, target);
  return key_place(keys[c.count - 1]);
}

// The k best keys of the whole vocabulary, for a k that workers do not remember.
void sort_all(const Request& r, uint64_t* keys) {
  for (int64_t i = 0; i < r.V; i++) keys[i] = sort_key(r.x[i], uint32_t(i));
  std::partial_sort(keys, keys + r.top_k, keys + r.V, KeyGreater{});
}

// The token drawn. `keys` holds the kept tokens in descending order.
int64_t draw(const Request& r, const Shared& s, const Extremes& all, int nthreads, uint64_t* keys) {
  if (r.greedy) return all.argmax;
  const Weights w(all.max, all.min, r.temperature);
  if (r.top_k > 0) {
    if (r.top_k > kHeapKeys) sort_all(r, keys);
    return draw_sorted(w, r.x, keys, r.top_k, r);
  }
  uint64_t* sums = s.histogram;
  for (int t = 1; t < nthreads; t++)
    for (int b = 0; b < Weights::kBuckets; b++) sums[b] += s.histogram[t * Weights::kBuckets + b];
  return draw_bucketed(w, r.x, sums, r, keys);
}

void finish(const Request& r, const Shared& s, const Extremes& all, int nthreads, uint64_t* keys) {
  double total = 0;
  for (int64_t b = 0; b < ceil_div(r.V, kBlock); b++) total += s.block_sums[b];
  const double log_total = double(all.max) + std::log(total);
  int64_t count = 0;
  for (int t = 0; t < nthreads; t++)
    for (int64_t i = 0; i < s.top_counts[t]; i++) keys[count++] = s.top[t * r.kept + i];
  sort_keys(keys, count);
  for (int64_t i = 0; i < r.top; i++) {
    const int64_t id = key_place(keys[i]);
    r.top_ids[i] = int32_t(id);
    r.top_logprobs[i] = float(r.x[id] - log_total);
  }
  const int64_t id = draw(r, s, all, nthreads, keys);
  *r.id = uint32_t(id);
  *r.logprob = float(r.x[id] - log_total);
}

// What a row without a token to draw says instead of a logprob; 0 when there is one.
float problem(const Request& r, const Extremes& all) {
  if (all.bad >= 0) return r.x[all.bad];
  return all.max == -__builtin_inff() ? all.max : 0;
}

void sample_row(const Request& r, const Shared& s, const Crew& crew) {
  const int tid = crew.tid(), nthreads = crew.size();
  const int64_t blocks = ceil_div(r.V, kBlock), begin = blocks * tid / nthreads,
                end = blocks * (tid + 1) / nthreads;
  const int64_t first = begin * kBlock, last = min64(end * kBlock, r.V);
  s.extremes[tid] = scan(r.x, first, last);
  s.top_counts[tid] = 0;
  if (r.kept > 0 && s.extremes[tid].bad < 0) {
    TopKeys top(s.top + tid * r.kept, r.kept);
    top.add_range(r.x, first, last);
    s.top_counts[tid] = top.size();
  }
  crew.barrier();
  Extremes all = s.extremes[0];
  for (int t = 1; t < nthreads; t++) {
    const Extremes& e = s.extremes[t];
    if (all.bad < 0) all.bad = e.bad;
    if (e.max > all.max) all.max = e.max, all.argmax = e.argmax;
    all.min = std::min(all.min, e.min);
  }
  const float wrong = problem(r, all);
  if (wrong == 0) {  // the same for all workers
    for (int64_t b = begin; b < end; b++)
      s.block_sums[b] = exp_sum(r.x, b * kBlock, min64((b + 1) * kBlock, r.V), all.max);
    if (r.histogram) {
      uint64_t* sums = s.histogram + tid * Weights::kBuckets;
      std::memset(sums, 0, Weights::kBuckets * 8);
      Weights(all.max, all.min, r.temperature).histogram(r.x, first, last, sums);
    }
  }
  crew.barrier();
  if (tid == 0) {
    *r.id = 0;
    *r.logprob = wrong;
    std::memset(r.top_ids, 0, size_t(r.n) * 4);
    std::memset(r.top_logprobs, 0, size_t(r.n) * 4);
    if (wrong == 0) finish(r, s, all, nthreads, reinterpret_cast<uint64_t*>(crew.ctx.scratch));
  }
  crew.barrier();
}

// Null when the settings of all rows are in range.
const char* problem_of(const RowSettings& s, int64_t n) {
  if (!(s.temperature >= 0)) return "the temperature is negative";
  if (s.top_k < 0) return "topK is negative";
  if (!(s.top_p >= 0)) return "topP is negative";
  if (!(s.min_p >= 0 && s.min_p <= 1)) return "minP is not in 0 ... 1";
  if (s.top < 0 || s.top > n) return "more alternatives are wanted than there is room for";
  return nullptr;
}

void run_sample(const Args& args, Ctx& ctx) {
  const SampleArgs a(args);
  const int64_t rows = a.B(), V = a.V(), n = a.n();
  for (int64_t r = 0; r < rows; r++) {
    const char* wrong = problem_of(a.settings_buf().as<RowSettings>()[r], n);
    if (!wrong) continue;
    if (ctx.tid == 0) ctx.fail("sample: %s (row %lld)", wrong, (long long)r);
    return;
  }
  if (rows < ctx.nthreads) {
    const Shared s(ctx.team->shared, V, n, ctx.nthreads);
    for (int64_t r = 0; r < rows; r++) sample_row(Request(a, r), s, {ctx, false});
    return;
  }
  const Shared s(ctx.team->shared + size_t(ctx.tid) * Shared::bytes(V, n, 1), V, n, 1);
  for (int64_t r; (r = ctx.next(rows)) >= 0;) sample_row(Request(a, r), s, {ctx, true});
}
size_t shared_sample(const Args& args, int nthreads) {
  const SampleArgs a(args);
  const int64_t rows = a.B(), V = a.V(), n = a.n();
  if (rows == 0) return 0;
  // For as many threads as there may be, or fewer.
  const size_t apart = Shared::bytes(V, n, 1) * size_t(min64(rows, nthreads));
  return rows < nthreads ? std::max(Shared::bytes(V, n, nthreads), apart) : apart;
}
const char* check_sample(const Args& args) {
  if (const char* problem = SampleArgs::mismatch(args)) return problem;
  const SampleArgs a(args);
  const int64_t B = a.B(), V = a.V(), n = a.n();
  if (B < 0) return "sample: the number of rows is negative";
  if (V <= 0 || V > kMaxVocab) return "sample: the vocabulary is not in 1 ... 1,048,576";
  if (n < 0 || n > V) return "sample: n is not in 0 ... V";
  if (a.logits_buf().bytes / 4 / V < B) return "sample: logits smaller than [B, V]";
  if (a.settings_buf().bytes < B * int64_t(sizeof(RowSettings)))
    return "sample: settings smaller than [B, 12]";
  if (a.out_buf().bytes < B * 4 || a.out_logprob_buf().bytes < B * 4)
    return "sample: no room for the tokens or their logprobs";
  if (a.top_ids_buf().bytes < B * n * 4 || a.top_logprobs_buf().bytes < B * n * 4)
    return "sample: topIds or topLogprobs smaller than [B, n]";
  return nullptr;
}

const KernelDef defs[] = {{"sample", run_sample, shared_sample, check_sample}};

}  // namespace
extern const Table sample_table;
const Table sample_table = {defs, 1};
}  // namespace ingot::INGOT_NS
