// copy, gather, scatter_add, reduce, matmul, sort_rows and topk_rows against plain loops.
#include <algorithm>
#include <numeric>

#include "ops_test.h"

namespace ingot::tests {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

template <class T>
void copy_case(Report& report, Level level, std::vector<int64_t> sizes, std::vector<int64_t> order,
               int64_t gap, int threads) {
  // y[permuted] = x, where axis i of the iteration is axis order[i] of the contiguous source; `gap` pads
  // destination rows
  const size_t rank = sizes.size();
  std::vector<int64_t> source(rank), src(rank), dst(rank), view(rank);
  int64_t stride = 1;
  for (size_t d = rank; d-- > 0; stride *= sizes[d]) source[d] = stride;
  const int64_t total = stride;
  for (size_t d = 0; d < rank; d++) view[d] = sizes[size_t(order[d])], src[d] = source[size_t(order[d])];
  stride = 1;
  for (size_t d = rank; d-- > 0;) {
    dst[d] = stride;
    stride *= view[d] + (d + 1 == rank ? gap : 0);
  }
  std::vector<T> x(static_cast<size_t>(total)), y(static_cast<size_t>(stride + 5)), want;
  for (size_t i = 0; i < x.size(); i++) x[i] = T(i * 7 + 3);
  want = y;
  for (int64_t i = 0; i < total; i++) {
    int64_t rest = i, from = 0, to = 2;
    for (size_t d = rank; d-- > 0;) {
      from += rest % view[d] * src[d];
      to += rest % view[d] * dst[d];
      rest /= view[d];
    }
    want[size_t(to)] = x[size_t(from)];
  }
  Call call(level, "copy");
  call.buf(x).buf(y).params({double(rank), double(sizeof(T))});
  for (int64_t v : view) call.params({double(v)});
  for (int64_t v : src) call.params({double(v)});
  for (int64_t v : dst) call.params({double(v)});
  const std::string message = call.params({0, 2}).run(threads);
  report.expect(message.empty(), "copy: " + message);
  report.expect(y == want, "copy of " + std::to_string(rank) + " axes differs");
}

void copy_tests(Report& report, Level level) {
  for (int threads : {1, 2, 3}) {
    copy_case<uint32_t>(report, level, {1000}, {0}, 0, threads);
    copy_case<uint32_t>(report, level, {70, 45}, {1, 0}, 0, threads);
    copy_case<uint16_t>(report, level, {70, 45}, {1, 0}, 3, threads);
    copy_case<uint8_t>(report, level, {5, 7, 9}, {1, 0, 2}, 0, threads);
    copy_case<uint32_t>(report, level, {3, 40, 6, 33}, {0, 3, 1, 2}, 1, threads);
    copy_case<uint32_t>(report, level, {3, 40, 6, 33}, {3, 2, 1, 0}, 0, threads);
    copy_case<uint64_t>(report, level, {4, 1, 6, 3}, {2, 1, 0, 3}, 0, threads);
    copy_case<uint8_t>(report, level, {150, 301}, {1, 0}, 0, threads);
    copy_case<uint16_t>(report, level, {2, 129, 140}, {0, 2, 1}, 0, threads);
    copy_case<uint32_t>(report, level, {101, 67}, {1, 0}, 0, threads);
    copy_case<uint64_t>(report, level, {65, 35}, {1, 0}, 1, threads);
    copy_case<uint32_t>(report, level, {4200, 3}, {1, 0}, 0, threads);
    copy_case<uint32_t>(report, level, {1, 1}, {0, 1}, 0, threads);
  }
  copy_case<uint32_t>(report, level, {2048, 2112}, {1, 0}, 0,
                      2);  // past the caches, where y lies as that needs
  std::vector<uint32_t> x{1, 2, 3, 4}, y(4);
  report.expect(Call(level, "copy").buf(x).buf(y).params({1, 4, 4, -1, 1, 3, 0}).run(2).empty(),
                "reversing copy refused");
  report.expect(y == std::vector<uint32_t>{4, 3, 2, 1}, "reversing copy differs");
  report.expect(Call(level, "copy").buf(x).buf(y).params({1, 4, 4, 0, 1, 1, 0}).run(2).empty() &&
                    y == std::vector<uint32_t>(4, 2),
                "broadcasting copy differs");
  report.expect(!Call(level, "copy").buf(x).buf(y).params({1, 4, 4, -1, 1, 2, 0}).run(1).empty(),
                "copy from before the buffer accepted");
  report.expect(!Call(level, "copy").buf(x).buf(y).params({1, 4, 4, 1, 1, 0, 1}).run(1).empty(),
                "copy to behind the buffer accepted");
}

void gather_tests(Report& report, Level level) {
  Random random(6);
  for (int64_t inner : {1, 3, 64}) {
    const int64_t outer = 3, D = 17, n = 29;
    Floats x = random.floats(outer * D * inner), y(size_t(outer * n * inner)), want;
    Ints indices;
    for (int64_t i = 0; i < n; i++) indices.push_back(int32_t(random.integer(0, D - 1)));
    for (int64_t o = 0; o < outer; o++)
      for (int32_t index : indices)
        for (int64_t i = 0; i < inner; i++) want.push_back(x[size_t((o * D + index) * inner + i)]);
    report.expect(Call(level, "gather")
                      .buf(x)
                      .buf(indices)
                      .buf(y)
                      .params({double(outer), double(D), double(inner), double(n), 4})
                      .run(report.threads())
                      .empty(),
                  "gather failed");
    report.expect(y == want, "gather differs");
    // its transpose: integers, so that the sum is exact whatever the order
    std::vector<uint32_t> updates, sum(size_t(D * inner), 5),
        expected(sum.size());  // what y held does not count
    for (int64_t i = 0; i < n * inner; i++) updates.push_back(uint32_t(random.integer(0, 100)));
    for (int64_t j = 0; j < n; j++)
      for (int64_t i = 0; i < inner; i++)
        expected[size_t(indices[size_t(j)] * inner + i)] += updates[size_t(j * inner + i)];
    report.expect(Call(level, "scatter_add")
                      .buf(updates)
                      .buf(indices)
                      .buf(sum)
                      .params({double(n), double(inner), double(D), dU32})
                      .run(report.threads())
                      .empty(),
                  "scatter_add failed");
    report.expect(sum == expected, "scatter_add differs");
    Floats fu = random.floats(n * inner), one(size_t(D * inner)), two = one;
    Call(level, "scatter_add")
        .buf(fu)
        .buf(indices)
        .buf(one)
        .params({double(n), double(inner), double(D), dF32})
        .run(1);
    Call(level, "scatter_add")
        .buf(fu)
        .buf(indices)
        .buf(two)
        .params({double(n), double(inner), double(D), dF32})
        .run(3);
    report.expect(one == two, "scatter_add depends on the number of threads");
    indices[7] = int32_t(D);
    const std::string message = Call(level, "gather")
                                    .buf(x)
                                    .buf(indices)
                                    .buf(y)
                                    .params({double(outer), double(D), double(inner), double(n), 4})
                                    .run(2);
    report.expect(message.find("index 17 at place 7") != std::string::npos,
                  "gather outside the axis: " + message);
  }
}

enum Kind { kSum, kMax, kMin, kProd, kMean, kArgmax, kArgmin, kAny, kAll };
void reduce_f32(Report& report, Level level, int64_t outer, int64_t D, int64_t inner) {
  Random random(uint64_t(D * 3 + inner));
  Floats x = random.floats(outer * D * inner, -1, 1);
  for (int kind : {kSum, kMax, kMin, kProd, kMean, kArgmax, kArgmin}) {
    if (kind == kProd && D > 50) continue;
    std::vector<double> want, bound;
    Ints places;
    for (int64_t o = 0; o < outer; o++)
      for (int64_t i = 0; i < inner; i++) {
        double sum = 0, size = 0, product = 1;
        int64_t most = 0, least = 0;
        const auto at = [&](int64_t d) { return x[size_t((o * D + d) * inner + i)]; };
        for (int64_t d = 0; d < D; d++) {
          sum += at(d), size += std::fabs(at(d)), product *= at(d);
          if (at(d) > at(most)) most = d;
          if (at(d) < at(least)) least = d;
        }
        want.push_back(kind == kSum                      ? sum
                       : kind == kMean                   ? sum / double(D)
                       : kind == kProd                   ? product
                       : kind == kMax || kind == kArgmax ? at(most)
                                                         : at(least));
        places.push_back(int32_t(kind == kArgmax ? most : least));
        const double terms = (8 + std::sqrt(double(D))) * kEps;
        bound.push_back(kind == kSum    ? terms * size
                        : kind == kMean ? terms * size / double(D)
                        : kind == kProd ? double(D) * kEps * std::fabs(product)
                                        : 0);
      }
    Floats y(want.size());
    Ints iy(want.size());
    const bool index = kind == kArgmax || kind == kArgmin;
    Call call(level, "reduce");
    call.buf(x);
    if (index)
      call.buf(iy);
    else
      call.buf(y);
    report.expect(call.params({double(outer), double(D), double(inner), double(kind), dF32})
                      .run(report.threads())
                      .empty(),
                  "reduce failed");
    if (index)
      report.expect(iy == places, "reduce: wrong places");
    else
      report.near("reduce kind " + std::to_string(kind) + " over " + std::to_string(D), y.data(), want,
                  bound);
  }
}
void reduce_tests(Report& report, Level level) {
  reduce_f32(report, level, 3, 17, 1);
  reduce_f32(report, level, 3, 17, 5);
  reduce_f32(report, level, 2, 1500, 37);
  reduce_f32(report, level, 1, 200001, 1);
  reduce_f32(report, level, 1, 70000, 3);
  Ints x{3, -5, 7, 2147483647, 1, 1}, y(2);
  report.expect(Call(level, "reduce").buf(x).buf(y).params({2, 3, 1, kSum, dI32}).run(2).empty() &&
                    y == Ints{5, INT32_MIN + 1},
                "sum of i32 does not wrap");
  report.expect(Call(level, "reduce").buf(x).buf(y).params({2, 3, 1, kProd, dI32}).run(2).empty() &&
                    y == Ints{-105, 2147483647},
                "product of i32 differs");
  Ints big{2147483647, 2147483647, 3, 3, 5, -7};
  report.expect(Call(level, "reduce").buf(big).buf(y).params({2, 3, 1, kProd, dI32}).run(2).empty() &&
                    y == Ints{3, -105},
                "product of i32 does not wrap");
  std::vector<uint8_t> truth{0, 0, 0, 1, 0, 1, 1, 1, 1}, all(3);
  report.expect(Call(level, "reduce").buf(truth).buf(all).params({3, 3, 1, kAny, dBool}).run(2).empty() &&
                    all == std::vector<uint8_t>{0, 1, 1},
                "any differs");
  report.expect(Call(level, "reduce").buf(truth).buf(all).params({3, 3, 1, kAll, dBool}).run(2).empty() &&
                    all == std::vector<uint8_t>{0, 0, 1},
                "all differs");
  std::vector<uint16_t> h{half_from_float(1.5f), half_from_float(2.25f), half_from_float(-4.f)}, hy(1);
  report.expect(Call(level, "reduce").buf(h).buf(hy).params({1, 3, 1, kSum, dF16}).run(1).empty() &&
                    float_from_half(hy[0]) == -0.25f,
                "sum of f16 differs");
  Floats f{1, NAN, 3}, fy(1);
  report.expect(
      Call(level, "reduce").buf(f).buf(fy).params({1, 3, 1, kMax, dF32}).run(1).empty() && std::isnan(fy[0]),
      "max drops NaN");
}

void matmul_case(Report& report, Level level, int64_t batch, int64_t M, int64_t K, int64_t N, bool transposed,
                 bool broadcast) {
  Random random(uint64_t(M * 31 + K * 7 + N));
  Floats a = random.floats(batch * M * K), b = random.floats((broadcast ? 1 : batch) * K * N),
         y(size_t(batch * M * N), 9.f), first;
  std::vector<double> want, bound;
  for (int64_t e = 0; e < batch; e++)
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < N; n++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < K; k++) {
          const double term = double(a[size_t((e * M + m) * K + k)]) *
                              b[size_t((broadcast ? 0 : e * K * N) + (transposed ? n * K + k : k * N + n))];
          sum += term, size += std::fabs(term);
        }
        want.push_back(sum);
        bound.push_back((8 + 2 * std::sqrt(double(K))) * kEps * size + 1e-30);
      }
  for (int threads : {1, 3}) {
    const std::string message =
        Call(level, "matmul")
            .buf(a)
            .buf(b)
            .buf(y)
            .params({double(batch), double(M), double(K), double(N), transposed ? 1. : 0., double(M * K),
                     broadcast ? 0. : double(K * N)})
            .run(threads);
    report.expect(message.empty(), "matmul: " + message);
    char name[80];
    snprintf(name, sizeof name, "matmul %lldx%lldx%lld transposed %d", (long long)M, (long long)K,
             (long long)N, transposed);
    report.near(name, y.data(), want, bound);
    if (threads == 1)
      first = y;
    else
      report.expect(first == y, "matmul depends on the number of threads");
  }
}
void matmul_tests(Report& report, Level level) {
  for (bool transposed : {false, true}) {
    matmul_case(report, level, 1, 1, 100, 77, transposed, false);
    matmul_case(report, level, 3, 2, 33, 130, transposed, true);
    matmul_case(report, level, 2, 5, 7, 3, transposed, false);
    matmul_case(report, level, 1, 200, 300, 250, transposed, false);
    matmul_case(report, level, 2, 37, 65, 49, transposed, true);
    matmul_case(report, level, 1, 4, 1, 16, transposed, false);
    matmul_case(report, level, 1, 6, 0, 5, transposed, false);
  }
}

void sort_tests(Report& report, Level level) {
  Random random(8);
  for (int64_t D : {1, 5, 64, 1000, 5000}) {
    for (bool descending : {false, true}) {
      for (int64_t k : {int64_t(1), std::min<int64_t>(D, 7), D}) {
        const int64_t rows = 3;
        Floats x(static_cast<size_t>(rows * D)), values(size_t(rows * k)), want;
        for (auto& v : x) v = float(random.integer(-D / 2, D / 2)) * 0.25f;  // many ties
        if (D > 20) x[3] = -0.f, x[11] = 0.f, x[12] = HUGE_VALF;
        Ints indices(size_t(rows * k)), want_indices;
        for (int64_t r = 0; r < rows; r++) {
          Ints order(static_cast<size_t>(D));
          std::iota(order.begin(), order.end(), 0);
          const float* row = &x[size_t(r * D)];
          std::stable_sort(order.begin(), order.end(),
                           [&](int p, int q) { return descending ? row[p] > row[q] : row[p] < row[q]; });
          for (int64_t i = 0; i < k; i++)
            want_indices.push_back(order[size_t(i)]), want.push_back(row[order[size_t(i)]]);
        }
        const std::string message = Call(level, k == D ? "sort_rows" : "topk_rows")
                                        .buf(x)
                                        .buf(values)
                                        .buf(indices)
                                        .params({double(rows), double(D), double(k), descending ? 1. : 0.})
                                        .run(report.threads());
        report.expect(message.empty(), "sort: " + message);
        report.expect(values == want && indices == want_indices,
                      "sort of " + std::to_string(D) + ", first " + std::to_string(k) + ", differs");
      }
    }
  }
}

}  // namespace

void array_tests(Report& report) {
  report.each_level("copy", [&](Level level) { copy_tests(report, level); });
  report.each_level("gather", [&](Level level) { gather_tests(report, level); });
  report.each_level("reduce", [&](Level level) { reduce_tests(report, level); });
  report.each_level("matmul", [&](Level level) { matmul_tests(report, level); });
  report.each_level("sort_rows", [&](Level level) { sort_tests(report, level); });
}

}  // namespace ingot::tests
