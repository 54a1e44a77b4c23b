// Optimisers by gradients and running averages of them. Formulas and defaults are PyTorch's; moments are f32.

import type { NDArray } from '../../array/array.ts';
import { IngotError } from '../../base/errors.ts';
import { elementwise, type OptimizerOptions, type RuleCall } from './elementwise.ts';
import type { GradientTransform } from './transform.ts';

export interface SgdOptions extends OptimizerOptions {
  /** Part of the last update that is kept. Default 0. */
  readonly momentum?: number;
  /** Part of the gradient that momentum leaves out. Default 0. */
  readonly dampening?: number;
  /** Looks one step ahead (Sutskever et al. 2013). Default false. */
  readonly nesterov?: boolean;
}

/** p - rate g; with momentum p - rate v, v = momentum v + (1 - dampening) g. */
export function sgd(options: SgdOptions): GradientTransform {
  const { weightDecay = 0, momentum: keep = 0, dampening = 0, nesterov = false } = options;
  const names = ['momentum', 'dampening', 'nesterov'];
  if (nesterov && (keep <= 0 || dampening !== 0)) {
    throw new IngotError('invalid_argument', 'sgd: nesterov needs momentum, and no dampening');
  }
  const decayed = (g: NDArray, p: NDArray): NDArray => (weightDecay === 0 ? g : g.add(p.mul(weightDecay)));
  if (keep === 0) {
    return elementwise({
      options,
      names,
      moments: [],
      rule: ({ g, p }) => ({ update: decayed(g, p), moments: {} }),
    });
  }
  return elementwise({
    options,
    names,
    moments: ['velocity'],
    rule: ({ g, p, moments }) => {
      const d = decayed(g, p);
      const velocity = moments.velocity.mul(keep).add(dampening === 0 ? d : d.mul(1 - dampening));
      return { update: nesterov ? d.add(velocity.mul(keep)) : velocity, moments: { velocity } };
    },
  });
}

/** SGD with momentum 0.9. */
export const momentum = (options: SgdOptions): GradientTransform => sgd({ momentum: 0.9, ...options });
/** SGD with Nesterov's momentum 0.9. */
export const nesterov = (options: SgdOptions): GradientTransform =>
  sgd({ momentum: 0.9, nesterov: true, ...options });

export interface AdagradOptions extends OptimizerOptions {
  /** Default 1e-10. */
  readonly eps?: number;
}

/** p - rate g / (sqrt(sum of g²) + eps): Duchi et al. 2011. */
export const adagrad = (options: AdagradOptions): GradientTransform => {
  const { weightDecay = 0, eps = 1e-10 } = options;
  return elementwise({
    options,
    names: ['eps'],
    moments: ['sum'],
    rule: ({ g: raw, p, moments }) => {
      const g = weightDecay === 0 ? raw : raw.add(p.mul(weightDecay));
      const sum = moments.sum.add(g.square());
      return { update: g.div(sum.sqrt().add(eps)), moments: { sum } };
    },
  });
};

export interface AdadeltaOptions extends OptimizerOptions {
  /** Default 0.9. */
  readonly rho?: number;
  /** Default 1e-6. */
  readonly eps?: number;
}

/** Steps in the units of the parameters: https://arxiv.org/abs/1212.5701. */
export const adadelta = (options: AdadeltaOptions): GradientTransform => {
  const { weightDecay = 0, rho = 0.9, eps = 1e-6 } = options;
  return elementwise({
    options,
    names: ['rho', 'eps'],
    moments: ['square', 'delta'],
    rule: ({ g: raw, p, moments }) => {
      const g = weightDecay === 0 ? raw : raw.add(p.mul(weightDecay));
      const square = moments.square.mul(rho).add(g.square().mul(1 - rho));
      const update = moments.delta.add(eps).sqrt().div(square.add(eps).sqrt()).mul(g);
      const delta = moments.delta.mul(rho).add(update.square().mul(1 - rho));
      return { update, moments: { square, delta } };
    },
  });
};

export interface RmspropOptions extends OptimizerOptions {
  /** Part of the average of squares that is kept. Default 0.99. */
  readonly alpha?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Whether the squared mean is taken off the mean square. Default false. */
  readonly centered?: boolean;
}

/** p - rate g / (sqrt(average of g²) + eps): Hinton's lectures of 2012. */
export function rmsprop(options: RmspropOptions): GradientTransform {
  const { weightDecay = 0, alpha = 0.99, eps = 1e-8, momentum: keep = 0, centered = false } = options;
  const names = ['square', ...(centered ? ['mean'] : []), ...(keep > 0 ? ['velocity'] : [])];
  return elementwise<string>({
    options,
    names: ['alpha', 'eps', 'momentum', 'centered'],
    moments: names,
    rule: ({ g: raw, p, moments }) => {
      const g = weightDecay === 0 ? raw : raw.add(p.mul(weightDecay));
      const next: Record<string, NDArray> = {};
      const average = (name: string, x: NDArray): NDArray => {
        next[name] = (moments[name] as NDArray).mul(alpha).add(x.mul(1 - alpha));
        return next[name];
      };
      const square = average('square', g.square());
      const spread = centered ? square.sub(average('mean', g).square()) : square;
      const step = g.div(spread.sqrt().add(eps));
      if (keep === 0) return { update: step, moments: next };
      const velocity = (moments.velocity as NDArray).mul(keep).add(step);
      return { update: velocity, moments: { ...next, velocity } };
    },
  });
}

export interface AdamOptions extends OptimizerOptions {
  /** Parts of the averages of g and g² that are kept. Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Whether averages are divided by what they have seen, so that first steps are whole. Default true; MLX leaves it out. */
  readonly biasCorrection?: boolean;
  /** Divides by the root of the largest v so far (https://openreview.net/forum?id=ryQu7f-RZ). Default false. */
  readonly amsgrad?: boolean;
}

const adamNames = ['betas', 'eps', 'biasCorrection', 'amsgrad'];
const adamMomentNames = ({ amsgrad }: AdamOptions): readonly string[] => [
  'm',
  'v',
  ...(amsgrad ? ['most'] : []),
];

function adamMoments(
  { betas: [b1, b2] = [0.9, 0.999], eps = 1e-8, biasCorrection = true, amsgrad = false }: AdamOptions,
  { g, moments, t }: Pick<RuleCall<string>, 'g' | 'moments' | 't'>,
) {
  const m = (moments.m as NDArray).mul(b1).add(g.mul(1 - b1));
  const v = (moments.v as NDArray).mul(b2).add(g.square().mul(1 - b2));
  const most = amsgrad ? (moments.most as NDArray).maximum(v) : v;
  const next: Record<string, NDArray> = amsgrad ? { m, v, most } : { m, v };
  if (!biasCorrection) return { update: m.div(most.sqrt().add(eps)), moments: next };
  const seen = (b: number): NDArray => t.mul(Math.log(b)).expm1().neg();
  const update = m.div(seen(b1)).div(most.div(seen(b2)).sqrt().add(eps));
  return { update, moments: next };
}

/** p - rate m / (sqrt(v) + eps) with averages m of g and v of g²: https://arxiv.org/abs/1412.6980. */
export const adam = (options: AdamOptions): GradientTransform =>
  elementwise<string>({
    options,
    names: adamNames,
    moments: adamMomentNames(options),
    rule: ({ g, p, moments, t }) => {
      const decay = options.weightDecay ?? 0;
      return adamMoments(options, { g: decay === 0 ? g : g.add(p.mul(decay)), moments, t });
    },
  });

/** Adam whose weight decay is taken off the parameters (https://arxiv.org/abs/1711.05101); default 0.01. */
export const adamw = (options: AdamOptions): GradientTransform =>
  elementwise<string>({
    options,
    names: adamNames,
    moments: adamMomentNames(options),
    rule: ({ g, p, moments, t }) => {
      const { update, moments: next } = adamMoments(options, { g, moments, t });
      const decay = options.weightDecay ?? 0.01;
      return { update: decay === 0 ? update : update.add(p.mul(decay)), moments: next };
    },
  });

/** Adam with the largest recent gradient in place of the root of v: section 7.1 of https://arxiv.org/abs/1412.6980. */
export const adamax = (options: Omit<AdamOptions, 'biasCorrection' | 'amsgrad'>): GradientTransform => {
  const { weightDecay = 0, betas: [b1, b2] = [0.9, 0.999], eps = 1e-8 } = options;
  return elementwise({
    options,
    names: ['betas', 'eps'],
    moments: ['m', 'u'],
    rule: ({ g: raw, p, moments, t }) => {
      const g = weightDecay === 0 ? raw : raw.add(p.mul(weightDecay));
      const m = moments.m.mul(b1).add(g.mul(1 - b1));
      const u = moments.u.mul(b2).maximum(g.abs().add(eps));
      return { update: m.div(u).div(t.mul(Math.log(b1)).expm1().neg()), moments: { m, u } };
    },
  });
};

export interface LionOptions extends OptimizerOptions {
  /** Parts of the average that are kept in the step and in the state. Default 0.9 and 0.99. */
  readonly betas?: readonly [number, number];
}

/** p - rate (sign of an average of g + weightDecay p): https://arxiv.org/abs/2302.06675. */
export const lion = (options: LionOptions): GradientTransform => {
  const { weightDecay = 0, betas: [b1, b2] = [0.9, 0.99] } = options;
  return elementwise({
    options,
    names: ['betas'],
    moments: ['m'],
    rule: ({ g, p, moments }) => {
      const direction = moments.m
        .mul(b1)
        .add(g.mul(1 - b1))
        .sign();
      const m = moments.m.mul(b2).add(g.mul(1 - b2));
      return { update: weightDecay === 0 ? direction : direction.add(p.mul(weightDecay)), moments: { m } };
    },
  });
};
