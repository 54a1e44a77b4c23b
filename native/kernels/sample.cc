// sample, penalize, count: from logits to a token, all workers reading the vocabulary together.
// The semantics (order of filters, random numbers, ties) are in docs/cpu-kernels.md.
#include "sample.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kBlock = 2048;  // logits summed in f32 before they are added in double; fixed, for determinism
constexpr int64_t kMaxVocab = int64_t(kScratchBytes / 8);

struct Extremes {
  float max, min;      // of the finite values
  int64_t argmax, bad;  // bad: place of the first NaN or +infinity, or -1
  char pad[40];         // one cache line per worker
};

// Fixed views of the shared memory of one dispatch.
struct Shared {
  Extremes* extremes;   // per worker
  double* block_sums;   // of e^(x - max) at temperature 1
  uint64_t* histogram;  // per worker, when no top-k is set
  uint64_t* top;        // per worker: the k best keys
  int64_t* top_counts;  // per worker

  static size_t bytes(int64_t V, int64_t k, int nthreads, bool histogram) {
    return size_t(nthreads) * sizeof(Extremes) + size_t(ceil_div(V, kBlock)) * 8 +
           (histogram ? size_t(nthreads) * Weights::kBuckets * 8 : 0) + size_t(nthreads) * size_t(k + 1) * 8;
  }
  Shared(uint8_t* base, int64_t V, int64_t k, int nthreads, bool uses_histogram) {
    extremes = reinterpret_cast<Extremes*>(base);
    block_sums = reinterpret_cast<double*>(extremes + nthreads);
    histogram = reinterpret_cast<uint64_t*>(block_sums + ceil_div(V, kBlock));
    top = histogram + (uses_histogram ? int64_t(nthreads) * Weights::kBuckets : 0);
    top_counts = reinterpret_cast<int64_t*>(top + nthreads * k);
  }
};

struct Request {
  int64_t V, top_k, n, kept;  // kept: how many of the best each worker remembers
  float temperature, top_p, min_p;
  uint32_t seed, step;
  bool greedy, histogram;

  explicit Request(const Args& a)
      : V(a.i(0)), top_k(a.i(2)), n(a.i(7)), temperature(a.f(1)), top_p(a.f(3)), min_p(a.f(4)),
        seed(uint32_t(int64_t(a.params[5]))), step(uint32_t(int64_t(a.params[6]))) {
    greedy = !(temperature > 0);
    if (top_k >= V || greedy) top_k = 0;
    kept = max64(top_k, n);
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
    while (count > 1 && w.of(x[key_place(keys[count - 1])]) < least) total -= w.of(x[key_place(keys[--count])]);
  }
  const Cut c = cut_at(w, x, {keys, count, 0}, draw_target(total, r) + 1);
  return key_place(keys[c.count - 1]);
}

// The same over the whole vocabulary, sorting only the buckets in which a limit falls.
int64_t draw_bucketed(const Weights& w, const float* x, const uint64_t* sums, const Request& r, uint64_t* keys) {
  uint64_t total = 0, before = 0;
  int last = 0;
  for (int b = 0; b < Weights::kBuckets; b++)
    if (sums[b]) total += sums[b], last = b;
  const auto find = [&](uint64_t target) {  // first bucket at whose end the cumulative weight reaches the target
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

void finish(const Args& a, const Request& r, const Shared& s, const Extremes& all, int nthreads, uint64_t* keys) {
  const float* x = a.bufs[0].as<float>();
  double total = 0;
  for (int64_t b = 0; b < ceil_div(r.V, kBlock); b++) total += s.block_sums[b];
  const double log_total = double(all.max) + std::log(total);
  int64_t count = 0;
  for (int t = 0; t < nthreads; t++)
    for (int64_t i = 0; i < s.top_counts[t]; i++) keys[count++] = s.top[t * r.kept + i];
  sort_keys(keys, count);
  for (int64_t i = 0; i < r.n; i++) {
    const int64_t id = key_place(keys[i]);
    a.bufs[3].as<int32_t>()[i] = int32_t(id);
    a.bufs[4].as<float>()[i] = float(x[id] - log_total);
  }
  int64_t id = all.argmax;
  if (!r.greedy) {
    const Weights w(all.max, all.min, r.temperature);
    if (r.top_k > 0) {
      id = draw_sorted(w, x, keys, r.top_k, r);
    } else {
      uint64_t* sums = s.histogram;
      for (int t = 1; t < nthreads; t++)
        for (int b = 0; b < Weights::kBuckets; b++) sums[b] += s.histogram[t * Weights::kBuckets + b];
      id = draw_bucketed(w, x, sums, r, keys);
    }
  }
  *a.bufs[1].as<uint32_t>() = uint32_t(id);
  if (a.bufs[2].bytes) *a.bufs[2].as<float>() = float(x[id] - log_total);
}

void run_sample(const Args& a, Ctx& ctx) {
  const Request r(a);
  const Shared s(ctx.team->shared, r.V, r.kept, ctx.nthreads, r.histogram);
  const float* x = a.bufs[0].as<float>();
  int64_t begin, end;
  ctx.range(ceil_div(r.V, kBlock), begin, end);
  const int64_t first = begin * kBlock, last = min64(end * kBlock, r.V);
  s.extremes[ctx.tid] = scan(x, first, last);
  s.top_counts[ctx.tid] = 0;
  if (r.kept > 0 && s.extremes[ctx.tid].bad < 0) {
    TopKeys top(s.top + ctx.tid * r.kept, r.kept);
    top.add_range(x, first, last);
    s.top_counts[ctx.tid] = top.size();
  }
  ctx.barrier();
  Extremes all = s.extremes[0];
  for (int t = 1; t < ctx.nthreads; t++) {
    const Extremes& e = s.extremes[t];
    if (all.bad < 0) all.bad = e.bad;
    if (e.max > all.max) all.max = e.max, all.argmax = e.argmax;
    all.min = std::min(all.min, e.min);
  }
  if (all.bad >= 0) {  // the same for all workers
    if (ctx.tid == 0 && x[all.bad] != x[all.bad]) ctx.fail("logits contain NaN (first at token %lld of %lld)", (long long)all.bad, (long long)r.V);
    else if (ctx.tid == 0) ctx.fail("logits contain +infinity (first at token %lld of %lld)", (long long)all.bad, (long long)r.V);
    return;
  }
  if (all.max == -__builtin_inff()) {
    if (ctx.tid == 0) ctx.fail("all %lld logits are -infinity: no token is allowed", (long long)r.V);
    return;
  }
  for (int64_t b = begin; b < end; b++) s.block_sums[b] = exp_sum(x, b * kBlock, min64((b + 1) * kBlock, r.V), all.max);
  if (r.histogram) {
    uint64_t* sums = s.histogram + ctx.tid * Weights::kBuckets;
    std::memset(sums, 0, Weights::kBuckets * 8);
    Weights(all.max, all.min, r.temperature).histogram(x, first, last, sums);
  }
  ctx.barrier();
  if (ctx.tid == 0) finish(a, r, s, all, ctx.nthreads, reinterpret_cast<uint64_t*>(ctx.scratch));
}
size_t shared_sample(const Args& a, int nthreads) {
  const Request r(a);
  return Shared::bytes(r.V, r.kept, nthreads, r.histogram);
}
const char* check_sample(const Args& a) {
  if (a.nbufs != 5 || a.nparams != 8) return "sample: expected 5 buffers and 8 parameters";
  const int64_t V = a.i(0), n = a.i(7);
  if (V <= 0 || V > kMaxVocab) return "sample: the vocabulary is not in 1 ... 1,048,576";
  if (a.i(2) < 0) return "sample: topK is negative";
  if (!(a.f(3) >= 0)) return "sample: topP is negative";
  if (!(a.f(4) >= 0 && a.f(4) <= 1)) return "sample: minP is not in 0 ... 1";
  if (!(a.f(1) >= 0)) return "sample: the temperature is negative";
  if (n < 0 || n > V) return "sample: n is not in 0 ... V";
  if (a.bufs[0].bytes < V * 4) return "sample: logits smaller than [V]";
  if (a.bufs[1].bytes < 4) return "sample: no room for the token";
  if (a.bufs[2].bytes != 0 && a.bufs[2].bytes < 4) return "sample: no room for the logprob";
  if (a.bufs[3].bytes < n * 4 || a.bufs[4].bytes < n * 4) return "sample: topIds or topLogprobs smaller than [n]";
  return nullptr;
}

void run_penalize(const Args& a, Ctx& ctx) {
  const float repetition = a.f(1), presence = a.f(2), frequency = a.f(3);
  float* x = a.bufs[0].as<float>();
  const int32_t* counts = a.bufs[1].as<int32_t>();
  int64_t begin, end;
  ctx.range(a.i(0), begin, end);
  for (int64_t i = begin; i < end; i++) {
    if (counts[i] <= 0) continue;
    const float scaled = x[i] > 0 ? x[i] / repetition : x[i] * repetition;
    x[i] = scaled - presence - frequency * float(counts[i]);
  }
}
const char* check_penalize(const Args& a) {
  if (a.nbufs != 2 || a.nparams != 4) return "penalize: expected 2 buffers and 4 parameters";
  if (a.i(0) < 0) return "penalize: negative vocabulary";
  if (!(a.f(1) > 0)) return "penalize: the repetition penalty is not positive";
  if (a.bufs[0].bytes < a.i(0) * 4 || a.bufs[1].bytes < a.i(0) * 4) return "penalize: logits or counts smaller than [V]";
  return nullptr;
}

void run_count(const Args& a, Ctx& ctx) {
  if (ctx.tid != 0) return;
  const int64_t rows = a.i(0), V = a.i(1);
  for (int64_t i = 0; i < rows; i++) {
    const int32_t id = a.bufs[0].as<int32_t>()[i];
    if (id < 0 || id >= V) {
      ctx.fail("count: token %d at place %lld is outside the vocabulary of %lld", id, (long long)i, (long long)V);
      return;
    }
    a.bufs[1].as<int32_t>()[id]++;
  }
}
const char* check_count(const Args& a) {
  if (a.nbufs != 2 || a.nparams != 2) return "count: expected 2 buffers and 2 parameters";
  if (a.i(0) < 0 || a.i(1) < 0) return "count: negative size";
  if (a.bufs[0].bytes < a.i(0) * 4) return "count: fewer ids than rows";
  if (a.bufs[1].bytes < a.i(1) * 4) return "count: counts smaller than [V]";
  return nullptr;
}

const KernelDef defs[] = {
    {"sample", run_sample, shared_sample, check_sample},
    {"penalize", run_penalize, nullptr, check_penalize},
    {"count", run_count, nullptr, check_count},
};

}  // namespace
extern const Table sample_table;
const Table sample_table = {defs, 3};
}  // namespace ingot::INGOT_NS
