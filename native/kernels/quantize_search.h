// Scales, steps and codes of super-blocks: src/quant/search.ts and super-block.ts, eight groups at a time.
#pragma once
#include "quantize_lanes.h"

namespace ingot::quantizing {

// How much the error of a value counts.
enum Weighting { kSquare, kRaised, kLevel, kEven };

// Eight groups of N values: value i of all of them in one vector.
template <int N>
struct Groups {
  vd x[N], w[N], wx[N];
  vd sum_w, sum_x, sum_xx;  // weighted
};

template <int N>
INGOT_ALWAYS void weigh(Weighting how, Groups<N>& g) {
  vd squares{};
  for (int i = 0; i < N; i++) squares += g.x[i] * g.x[i];
  const vd mean = squares / double(N);
  vd level{};
  if (how == kLevel)
    for (int lane = 0; lane < kLanes; lane++) level[lane] = std::sqrt(mean[lane]);
  for (int i = 0; i < N; i++) {
    const vd square = g.x[i] * g.x[i];
    const vd w = how == kSquare   ? square
                 : how == kRaised ? mean + square
                 : how == kLevel  ? level + magnitude(g.x[i])
                                  : all(1);
    g.w[i] = squares == 0 ? all(1) : w;
  }
  g.sum_w = g.sum_x = g.sum_xx = vd{};
  for (int i = 0; i < N; i++) {
    g.wx[i] = g.w[i] * g.x[i];
    g.sum_w += g.w[i], g.sum_x += g.wx[i], g.sum_xx += g.wx[i] * g.x[i];
  }
}

struct Fit {
  vd scale{}, minimum{}, error{};
};

// The best scale and minimum for the codes that an inverse scale and an offset give.
template <int N>
INGOT_ALWAYS Fit solve(const Groups<N>& g, double highest, vd inverse, vd offset) {
  vd q{}, qq{}, xq{};
  for (int i = 0; i < N; i++) {
    const vd code = code_near((g.x[i] - offset) * inverse, 0, highest), wc = g.w[i] * code;
    q += wc, qq += wc * code, xq += g.wx[i] * code;
  }
  const vd w = g.sum_w, x = g.sum_x, xx = g.sum_xx;
  const vd determinant = w * qq - q * q;
  const vm some = determinant > 0;
  vd scale = some ? (w * xq - x * q) / determinant : vd{};
  vd low = some ? (qq * x - q * xq) / determinant : x / w;
  const vm clipped = (low > 0) | ~some;
  low = clipped & ~(low < 0) ? vd{} : low;
  scale = clipped ? (qq > 0 ? (xq - low * q) / qq : vd{}) : scale;
  const vd error =
      xx - 2 * scale * xq - 2 * low * x + scale * scale * qq + 2 * scale * low * q + low * low * w;
  return {scale, -low, scale >= 0 ? error : all(kNone)};
}

INGOT_ALWAYS void take(Fit& best, const Fit& next, vm where) {
  best.scale = where ? next.scale : best.scale;
  best.minimum = where ? next.minimum : best.minimum;
  best.error = where ? next.error : best.error;
}

template <int N>
INGOT_ALWAYS Fit fit_affine(const Groups<N>& g, double highest) {
  vd low{}, high = all(-kNone);
  for (int i = 0; i < N; i++) low = lower(low, g.x[i]), high = higher(high, g.x[i]);
  const vd range = high - low;
  Fit best = solve<N>(g, highest, highest / range, low);
  for (int s = -18; s <= 18; s++) {
    const Fit found = solve<N>(g, highest, (highest + 0.1 * s) / range, low);
    take(best, found, found.error < best.error);
  }
  vm alive = best.scale > 0;
  for (int i = 0; i < 4; i++) {
    const Fit next = solve<N>(g, highest, 1.0 / best.scale, -best.minimum);
    alive &= next.error < best.error;
    take(best, next, alive);
    alive &= best.scale > 0;
  }
  take(best, {vd{}, -low, vd{}}, ~(range > kTiniest));
  return best;
}

// Scale, and as `error` what it gains against zeros.
template <int N>
INGOT_ALWAYS Fit least_squares(const Groups<N>& g, double low, double high, vd inverse) {
  vd cross{}, square{};
  for (int i = 0; i < N; i++) {
    const vd number = code_near(g.x[i] * inverse, low, high), weighted = g.w[i] * number;
    cross += weighted * g.x[i], square += weighted * number;
  }
  const vm some = square > 0;
  return {some ? cross / square : vd{}, vd{}, some ? (cross * cross) / square : vd{}};
}

template <int N>
INGOT_ALWAYS vd fit_scale(const Groups<N>& g, double low, double high) {
  vd peak{};
  for (int i = 0; i < N; i++) peak = magnitude(g.x[i]) > magnitude(peak) ? g.x[i] : peak;
  Fit best;
  for (const double end : {low, high})
    for (int s = -9; s <= 9; s++) {
      const Fit found = least_squares<N>(g, low, high, (end + (end < 0 ? -0.1 : 0.1) * s) / peak);
      // Where one value outweighs all others several codes give it exactly: the largest is taken, whose scale
      // leaves the others most.
      const vd noise = 1e-6 * best.error;
      const vm same = (found.error > best.error - noise) & (magnitude(found.scale) < magnitude(best.scale));
      take(best, found, (found.error > best.error + noise) | same);
    }
  vm alive = best.scale != 0;
  for (int i = 0; i < 4; i++) {
    const Fit next = least_squares<N>(g, low, high, 1.0 / best.scale);
    alive &= next.error > best.error;
    take(best, next, alive);
    alive &= best.scale != 0;
  }
  return magnitude(peak) > kTiniest ? best.scale : vd{};
}

// Weighted error of groups on the grid with this scale and minimum.
template <int N>
INGOT_ALWAYS vd code_error(const Groups<N>& g, double low, double high, vd scale, vd minimum) {
  const vd inverse = one_over(scale);
  vd error{};
  for (int i = 0; i < N; i++) {
    const vd number = code_near((g.x[i] + minimum) * inverse, low, high),
             off = g.x[i] - (scale * number - minimum);
    error += g.w[i] * off * off;
  }
  return error;
}

struct Range {
  double low, high;    // numbers of codes
  double least, most;  // steps
};

// Units of a super-block and the steps of its groups, V vectors of eight.
template <int V>
struct Choice {
  uint32_t d = 0, dmin = 0;
  double unit = 0, minimum_unit = 0;
  vd steps[V] = {}, minimums[V] = {};
  double error = kNone;
};

// The whole number next to a value within [low, high]; 0 where there is no unit. `only`: no others are tried.
INGOT_ALWAYS vd step_near(vd value, double low, double high, vm& only) {
  only = ~(magnitude(value) < kNone);
  return only ? vd{} : code_near(value, low, high);
}

template <int N, bool Minimum, int V>
INGOT_ALWAYS Choice<V> choose(const Groups<N>* groups, const Range& r, const Fit* fits, double unit,
                              double minimum_unit) {
  Choice<V> c;
  c.d = scale_near(dF16, unit, c.unit);
  c.dmin = scale_near(dF16, Minimum ? minimum_unit : 0, c.minimum_unit);
  c.error = 0;
  for (int v = 0; v < V; v++) {
    vm one_step, one_minimum;
    const vd step = step_near(fits[v].scale / c.unit, r.least, r.most, one_step),
             least =
                 step_near(Minimum ? fits[v].minimum / c.minimum_unit : all(kNone), 0, r.most, one_minimum);
    vd best{};
    for (const int m : {0, -1, 1}) {
      if (!Minimum && m != 0) continue;
      for (const int s : {0, -1, 1}) {
        const vd steps = step + double(s), minimums = least + double(m);
        const vd error = code_error<N>(groups[v], r.low, r.high, c.unit * steps, c.minimum_unit * minimums);
        vm better = error < best;
        if (m != 0) better &= ~one_minimum & (minimums >= 0) & (minimums <= r.most);
        if (s != 0) better &= ~one_step & (steps >= r.least) & (steps <= r.most);
        if (m == 0 && s == 0) better = vm{} == 0;
        best = better ? error : best;
        c.steps[v] = better ? steps : c.steps[v];
        c.minimums[v] = better ? minimums : c.minimums[v];
      }
    }
    for (int lane = 0; lane < kLanes; lane++) c.error += best[lane];
  }
  return c;
}

// Both units by least squares over the block, for the codes of a choice.
template <int N, bool Minimum, int V>
INGOT_ALWAYS void better_units(const Groups<N>* groups, const Range& r, const Choice<V>& c, double& unit,
                               double& minimum_unit) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int v = 0; v < V; v++) {
    const vd scale = c.unit * c.steps[v], offset = c.minimum_unit * c.minimums[v], inverse = one_over(scale);
    vd saa{}, sa{}, sw{}, sax{}, sx{};
    for (int i = 0; i < N; i++) {
      const vd x = groups[v].x[i], w = groups[v].w[i],
               a = c.steps[v] * code_near((x + offset) * inverse, r.low, r.high), wa = w * a;
      saa += wa * a, sa += wa, sw += w, sax += wa * x, sx += w * x;
    }
    for (int lane = 0; lane < kLanes; lane++) {
      const double minimum = c.minimums[v][lane];
      aa += saa[lane], ab -= sa[lane] * minimum, bb += sw[lane] * minimum * minimum;
      ax += sax[lane], bx -= sx[lane] * minimum;
    }
  }
  const double determinant = aa * bb - ab * ab;
  if (bb == 0 || !(determinant > 0)) {
    unit = aa > 0 ? ax / aa : 0, minimum_unit = c.minimum_unit;
    return;
  }
  unit = (ax * bb - bx * ab) / determinant;
  const double m = (bx * aa - ax * ab) / determinant;
  minimum_unit = m > 0 ? m : 0;
}

// Units, steps and codes of 256 values in groups of N. Codes count from the lowest number.
template <int N, bool Minimum>
INGOT_ALWAYS Choice<256 / N / kLanes> super_block(const float* values, Weighting how, const Range& r,
                                                  uint8_t* codes) {
  constexpr int V = 256 / N / kLanes;
  Groups<N> groups[V];
  Fit fits[V];
  double peak = 0, most_minimum = 0;
  for (int v = 0; v < V; v++) {
    for (int i = 0; i < N; i++)
      for (int lane = 0; lane < kLanes; lane++) groups[v].x[i][lane] = values[(v * kLanes + lane) * N + i];
    weigh<N>(how, groups[v]);
    if (Minimum)
      fits[v] = fit_affine<N>(groups[v], r.high);
    else
      fits[v].scale = fit_scale<N>(groups[v], r.low, r.high);
    for (int lane = 0; lane < kLanes; lane++) {
      const double scale = fits[v].scale[lane], minimum = fits[v].minimum[lane];
      if (Minimum ? scale > peak : std::fabs(scale) > std::fabs(peak)) peak = scale;
      if (minimum > most_minimum) most_minimum = minimum;
    }
  }
  // The largest scale is the end of the steps with more room: -32 of -32 … 31; or, with minimums, up to two
  // steps below it, which is better where that scale is no better than others.
  const double end = -r.least > r.most ? r.least : r.most;
  Choice<V> choice;
  for (int below = 0; below < (Minimum ? 3 : 1); below++) {
    double u = peak / (end - below), m = most_minimum / r.most;
    Choice<V> found = choose<N, Minimum, V>(groups, r, fits, u, m);
    for (int i = 0; i < 3; i++) {
      better_units<N, Minimum, V>(groups, r, found, u, m);
      const Choice<V> next = choose<N, Minimum, V>(groups, r, fits, u, m);
      if (!(next.error < found.error)) break;
      found = next;
    }
    if (below == 0 || found.error < choice.error) choice = found;
  }
  for (int v = 0; v < V; v++) {
    const vd scale = choice.unit * choice.steps[v], minimum = choice.minimum_unit * choice.minimums[v],
             inverse = one_over(scale);
    for (int i = 0; i < N; i++) {
      const vc code = bytes_of(code_near((groups[v].x[i] + minimum) * inverse, r.low, r.high) - r.low);
      for (int lane = 0; lane < kLanes; lane++) codes[(v * kLanes + lane) * N + i] = code[lane];
    }
  }
  return choice;
}

}  // namespace ingot::quantizing
