// Few rows, or the only row of a sequence: the keys are split over the workers, and the partial results are
// merged in a fixed order.
#pragma once
#include <algorithm>

#include "attention_core.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kSplitItems =
    64;  // wanted number of (kv head, key range) items; fixed, so results do not depend on threads
constexpr int64_t kMinSplit = 64;     // keys
constexpr int64_t kScoreKeys = 256;   // keys whose scores are held at once
constexpr int64_t kScoreStride = kScoreKeys + kW;  // dot_keys writes up to a vector beyond the last key

// Sums that fit in registers beside what they are made of.
#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int kSums = 12;
#else
constexpr int kSums = 16;
#endif
// Keys, or vectors of values, that are used together for a group of queries.
constexpr int keys_for(int group) {
  int n = 1;
  while (2 * n <= kW && 2 * n * group <= kSums) n *= 2;
  return n;
}
constexpr int value_vecs(int group) { return keys_for(group) < 4 ? keys_for(group) : 4; }

// Reading keys asks for the values of the same positions, and reading values for the keys that are read next:
// a range is too short for the hardware to find its stream, and one request for all of it blocks the core.

// scores[g * kScoreStride + j] = q[g] . k[j] for n keys that follow each other in memory. q is padded with
// zeros to ldq. `ahead`: n rows that are read next.
template <int Form, int GQ>
__attribute__((noinline)) void dot_keys(const KvRow& form, const float* q, int64_t ldq, const uint8_t* k,
                                        const uint8_t* ahead, int64_t n, float* scores) {
  constexpr int kKeys = keys_for(GQ);
  const int64_t row = form.bytes, full = form.Dh / kW * kW;
  const int tail = int(form.Dh - full);
  for (int64_t j = 0; j < n; j += kKeys) {
    const int live = int(min64(kKeys, n - j));
    prefetch_lines(ahead + j * row, live * row);
    const uint8_t* key[kKeys];
    for (int i = 0; i < kKeys; i++) key[i] = k + (j + min64(i, live - 1)) * row;
    vf acc[(GQ * kKeys + kW - 1) / kW * kW];
    for (auto& x : acc) x = vf{};
    const auto add = [&](int64_t d, auto load_key) __attribute__((always_inline)) {
      vf qv[GQ];
      for (int g = 0; g < GQ; g++) qv[g] = load(q + g * ldq + d);
      for (int i = 0; i < kKeys; i++) {
        const vf x = load_key(key[i], d);
        for (int g = 0; g < GQ; g++) acc[g * kKeys + i] = fma(qv[g], x, acc[g * kKeys + i]);
      }
    };
    if constexpr (is_coded(Form)) {
      const int64_t group = int64_t(1) << form.shift;
      for (int64_t first = 0; first < form.Dh; first += group)
        for (int i = 0; i < kKeys; i++) {
          const KvScale of = scale_at<Form>(form, key[i], first);
          for (int64_t d = first; d < first + group; d += kW) {
            const vf x = load_codes<Form>(form, key[i], d, of);
            for (int g = 0; g < GQ; g++)
              acc[g * kKeys + i] = fma(load(q + g * ldq + d), x, acc[g * kKeys + i]);
          }
        }
    }
    for (int64_t d = 0; d < full && !is_coded(Form); d += kW)
      add(d, [&](const uint8_t* p, int64_t at)
                 __attribute__((always_inline)) { return load_kv<Form>(form, p, at); });
    if (tail && !is_coded(Form))
      add(full, [&](const uint8_t* p, int64_t at)
                    __attribute__((always_inline)) { return load_kv_n<Form>(form, p, at, tail); });
    float sums[sizeof acc / 4];
    for (int i = 0; i < GQ * kKeys; i += kW) store(sums + i, sum_each(acc + i));
    for (int g = 0; g < GQ; g++) std::memcpy(scores + g * kScoreStride + j, sums + g * kKeys, kKeys * 4);
  }
}

// out[g * ldo + d] += sum over j of p[g * kScoreStride + j] * v[j][d]. `ahead` as above.
template <int Form, int GQ>
__attribute__((noinline)) void add_values(const KvRow& form, const float* p, const uint8_t* v,
                                          const uint8_t* ahead, int64_t n, float* out, int64_t ldo) {
  constexpr int kValueVecs = value_vecs(GQ);
  constexpr int64_t element = Form == rF32 ? 4 : 2;  // of floats
  const int64_t row = form.bytes, Dh = form.Dh;
  int64_t d = 0;
  for (; d + kValueVecs * kW <= Dh; d += kValueVecs * kW) {
    vf acc[GQ][kValueVecs];
    for (int g = 0; g < GQ; g++)
      for (int i = 0; i < kValueVecs; i++) acc[g][i] = load(out + g * ldo + d + i * kW);
    for (int64_t j = 0; j < n; j++) {
      const uint8_t* value = v + j * row;
      if constexpr (Form == rF32 || Form == rF16)
        prefetch_lines(ahead + j * row + d * element, kValueVecs * kW * element);
      else if (d == 0) prefetch_lines(ahead + j * row, row);
      vf w[GQ];
      for (int g = 0; g < GQ; g++) w[g] = set1(p[g * kScoreStride + j]);
      KvScale of;
      if constexpr (is_coded(Form)) of = scale_at<Form>(form, value, d);
      for (int i = 0; i < kValueVecs; i++) {
        vf x;
        if constexpr (is_coded(Form)) {
          if (i > 0 && ((d + i * kW) & ((int64_t(1) << form.shift) - 1)) == 0)
            of = scale_at<Form>(form, value, d + i * kW);
          x = load_codes<Form>(form, value, d + i * kW, of);
        } else {
          x = load_kv<Form>(form, value, d + i * kW);
        }
        for (int g = 0; g < GQ; g++) acc[g][i] = fma(w[g], x, acc[g][i]);
      }
    }
    for (int g = 0; g < GQ; g++)
      for (int i = 0; i < kValueVecs; i++) store(out + g * ldo + d + i * kW, acc[g][i]);
  }
  for (; d < Dh; d += kW) {
    const int lanes = int(min64(kW, Dh - d));
    vf acc[GQ];
    for (int g = 0; g < GQ; g++) acc[g] = load(out + g * ldo + d);
    for (int64_t j = 0; j < n; j++) {
      const uint8_t* value = v + j * row;
      const vf x = lanes == kW ? load_kv<Form>(form, value, d) : load_kv_n<Form>(form, value, d, lanes);
      for (int g = 0; g < GQ; g++) acc[g] = fma(set1(p[g * kScoreStride + j]), x, acc[g]);
    }
    for (int g = 0; g < GQ; g++) store(out + g * ldo + d, acc[g]);
  }
}

// Scores to weights in place, n of them; updates the running maximum and sum, returns the factor for what
// came before.
float softmax_step(float* s, int64_t n, float softcap, float& m, float& l) {
  for (int64_t j = n; j % kW != 0; j++) s[j] = kNoScore;
  vf top = set1(m);
  for (int64_t j = 0; j < n; j += kW) {
    vf x = load(s + j);
    if (softcap > 0) {
      x = vtanh(x / softcap) * softcap;
      if (j + kW > n) x = pick(first_lanes(int(n - j)), x, set1(kNoScore));
      store(s + j, x);
    }
    top = vmax(top, x);
  }
  const float next = hmax(top);
  vf sum{};
  for (int64_t j = 0; j < n; j += kW) {
    const vf e = vexp_nonpositive(load(s + j) - next);
    store(s + j, e);
    sum += e;
  }
  const float factor = m <= kNoScore ? 0.f : std::exp(m - next);
  m = next;
  l = l * factor + hsum(sum);
  return factor;
}

// One head group over keys [lo, hi): m[g], l[g], out[g * ldo]. `next`: the keys that are read after them, or
// null.
template <int Form, int GQ>
void attend_range(const Attention& a, const float* q, int64_t ldq, int64_t head, int64_t lo, int64_t hi,
                  const uint8_t* next, float* scores, float* m, float* l, float* out, int64_t ldo) {
  for (int64_t j = lo; j < hi; j += kScoreKeys) {
    const int64_t n = min64(kScoreKeys, hi - j);
    for (int64_t i = 0, c; i < n; i += c)
      dot_keys<Form, GQ>(a.row, q, ldq, a.at(a.k, head, j + i), a.at(a.v, head, j + i),
                         c = a.run(j + i, n - i), scores + i);
    for (int g = 0; g < GQ; g++) {
      const float factor = softmax_step(scores + g * kScoreStride, n, a.softcap, m[g], l[g]);
      if (factor != 1.f)
        for (int64_t d = 0; d < ldo; d += kW) store(out + g * ldo + d, load(out + g * ldo + d) * factor);
    }
    const uint8_t* ahead = j + n < hi ? a.at(a.k, head, j + n) : next;
    for (int64_t i = 0, c; i < n; i += c) {
      const uint8_t* v = a.at(a.v, head, j + i);
      add_values<Form, GQ>(a.row, scores + i, v, ahead ? ahead + i * a.row.bytes : v,
                           c = a.run(j + i, n - i), out, ldo);
    }
  }
}

template <int Form>
void attend_group(const Attention& a, int group, const float* q, int64_t ldq, int64_t head, int64_t lo,
                  int64_t hi, const uint8_t* next, float* scores, float* m, float* l, float* out,
                  int64_t ldo) {
  switch (group) {
    case 1: return attend_range<Form, 1>(a, q, ldq, head, lo, hi, next, scores, m, l, out, ldo);
    case 2: return attend_range<Form, 2>(a, q, ldq, head, lo, hi, next, scores, m, l, out, ldo);
    case 3: return attend_range<Form, 3>(a, q, ldq, head, lo, hi, next, scores, m, l, out, ldo);
    default: return attend_range<Form, 4>(a, q, ldq, head, lo, hi, next, scores, m, l, out, ldo);
  }
}

int64_t max_splits(int64_t Hkv) { return max64(1, ceil_div(kSplitItems, Hkv)); }

// A group of rows that are attended to by splits of their keys: rows of one sequence that few, or one row of
// a paged one. Its partial results, {m, l} and a padded vector per (kv head, split, row, group member), start
// at `partials`.
struct Group {
  int64_t row, rows, lo, hi, length, splits, items, partials;

  Group(const Attention& a, int64_t row, int64_t rows, int64_t partials)
      : row(row), rows(rows), lo(INT64_MAX), hi(0), partials(partials) {
    for (int64_t r = row; r < row + rows; r++) {
      lo = min64(lo, a.first_key(r));
      hi = max64(hi, a.last_key(r));
    }
    length = max64(kMinSplit, ceil_div(ceil_div(hi - lo, max_splits(a.Hkv)), 16) * 16);
    splits = ceil_div(hi - lo, length);
    items = a.Hkv * splits;
  }
  int64_t results(const Attention& a) const { return items * rows * a.G; }
  int64_t result(const Attention& a, int64_t head, int64_t split, int64_t r, int64_t g) const {
    return partials + ((head * splits + split) * rows + r) * a.G + g;
  }
};

struct Partials {
  float* base;
  int64_t ld;
  float* stats(int64_t result) const { return base + result * (ld + kW); }
  float* values(int64_t result) const { return stats(result) + kW; }
};

void merge(const Attention& a, const Partials& parts, const Group& group, int64_t r, int64_t h) {
  const int64_t head = h / a.G, g = h % a.G;
  const auto result = [&](int64_t s) { return group.result(a, head, s, r, g); };
  float top = a.sinks ? a.sinks[h] : kNoScore;
  for (int64_t s = 0; s < group.splits; s++) top = std::max(top, parts.stats(result(s))[0]);
  float total = a.sinks ? std::exp(a.sinks[h] - top) : 0.f;
  float weight[kSplitItems];
  for (int64_t s = 0; s < group.splits; s++) {
    const float* st = parts.stats(result(s));
    weight[s] = st[1] > 0 ? std::exp(st[0] - top) : 0.f;
    total += weight[s] * st[1];
  }
  const float inverse = total > 0 ? 1.f / total : 0.f;
  float* y = a.y + ((group.row + r) * a.H + h) * a.Dh;
  for (int64_t d = 0; d < a.Dh; d += kW) {
    vf sum{};
    for (int64_t s = 0; s < group.splits; s++)
      sum = fma(load(parts.values(result(s)) + d), set1(weight[s]), sum);
    const int lanes = int(min64(kW, a.Dh - d));
    store_some(y + d, sum * inverse, lanes);
  }
}

// Where the keys of an item begin, or null when there is no such item.
const uint8_t* item_keys(const Attention& a, const Group& group, int64_t item) {
  const int64_t head = item / group.splits, first = group.lo + item % group.splits * group.length;
  return item < group.items && first < group.hi ? a.at(a.k, head, first) : nullptr;
}

// One split of one kv head, for all rows of the group.
void run_split(const Attention& a, const Group& group, int64_t item, const Partials& parts,
               uint8_t* scratch) {
  const int64_t head = item / group.splits, split = item % group.splits, ld = parts.ld;
  float* scores = reinterpret_cast<float*>(scratch);
  float* q = scores + 4 * kScoreStride;
  float* out = q + 4 * ld;
  const uint8_t* next = item_keys(a, group, item + 1);
  for (int64_t r = 0; r < group.rows; r++) {
    const int64_t row = group.row + r;
    const int64_t first = max64(group.lo + split * group.length, a.first_key(row));
    const int64_t last = min64(min64(group.lo + (split + 1) * group.length, group.hi), a.last_key(row));
    for (int64_t g0 = 0; g0 < a.G; g0 += 4) {
      const int members = int(min64(4, a.G - g0));
      float m[4] = {kNoScore, kNoScore, kNoScore, kNoScore}, l[4] = {};
      for (int g = 0; g < members; g++)
        for (int64_t d = 0; d < a.Dh; d += kW) {
          const int lanes = int(min64(kW, a.Dh - d));
          store(q + g * ld + d,
                load_some(a.q + (row * a.H + head * a.G + g0 + g) * a.Dh + d, lanes) * a.scale);
          store(out + g * ld + d, vf{});
        }
      with_form(a.form, [&](auto form) {
        attend_group<form()>(a, members, q, ld, head, first, last, next, scores, m, l, out, ld);
      });
      for (int g = 0; g < members; g++) {
        float* st = parts.stats(group.result(a, head, split, r, g0 + g));
        st[0] = m[g];
        st[1] = l[g];
        std::memcpy(st + kW, out + g * ld, size_t(ld) * 4);
      }
    }
  }
}

}  // namespace
}  // namespace ingot::INGOT_NS
