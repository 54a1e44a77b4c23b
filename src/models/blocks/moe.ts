// Mixture of experts: a router picks the top k of E gated MLPs for each token and mixes their outputs; some families add an
// MLP that every token goes through.

import type { NDArray } from '../../array/array.ts';
import { expertLinear } from '../../array/ops/experts/expert-linear.ts';
import type { Weight } from '../../array/weight.ts';
import type { KernelPrecision } from '../../kernel/signature.ts';
import type { Linear } from '../../nn/linear.ts';
import { ExpertStack } from '../../nn/model-modules.ts';
import type { MoeConfig } from '../config/experts.ts';
import { gated } from './activations.ts';
import { finely, type Loading, loadLinear } from './load.ts';
import { Mlp } from './mlp.ts';
import type { MlpNames, MoeNames } from './names.ts';
import { type Reroute, type Routes, route } from './router.ts';

/** One of the three matrices of every expert. */
interface ExpertMatrix {
  readonly weight: Weight;
  /** `[E, N]` */
  readonly bias: NDArray | undefined;
}

/** x `[n, D]` -> `[n, D]`. */
export class Moe {
  readonly #config: MoeConfig;
  readonly #router: Linear;
  readonly #correction: NDArray | undefined;
  readonly #experts: Experts;
  readonly #shared: SharedExpert | undefined;

  constructor(from: Loading, names: MoeNames, config: MoeConfig, hiddenSize: number) {
    const { numExperts, router } = config;
    this.#config = config;
    // A rounded router would pick other experts; it is small enough to be fine always.
    this.#router = loadLinear(finely(from), names.router, [numExperts, hiddenSize], router.bias);
    this.#correction = router.correction ? from.load.vector(names.correction, numExperts) : undefined;
    this.#experts = new Experts(from, names, config, hiddenSize);
    this.#shared = config.shared && new SharedExpert(from, names, config, config.shared, hiddenSize);
  }

  apply(x: NDArray): NDArray {
    const mixed = this.#mix(x);
    return this.#shared === undefined ? mixed : mixed.add(this.#shared.apply(x));
  }

  /** residual + apply(x). Each sum is beside a product that can take it. */
  addTo(residual: NDArray, x: NDArray): NDArray {
    const mixed = residual.add(this.#mix(x));
    return this.#shared === undefined ? mixed : mixed.add(this.#shared.apply(x));
  }

  #mix(x: NDArray): NDArray {
    const { topK, router } = this.#config;
    const { reroute } = this.#experts;
    return this.#experts.apply(x, route(this.#router.apply(x), topK, router, this.#correction, reroute));
  }
}

/** The gated MLPs of all experts. */
export class Experts {
  readonly #precision: KernelPrecision;
  readonly #config: MoeConfig;
  readonly #gate: ExpertMatrix;
  readonly #up: ExpertMatrix;
  readonly #down: ExpertMatrix;
  /** How far choices may change. */
  readonly reroute: Reroute | undefined;

  constructor(from: Loading, names: MoeNames, config: MoeConfig, hiddenSize: number) {
    const { numExperts, intermediateSize, bias } = config;
    this.#config = config;
    this.#precision = from.options.precision;
    const load = (part: keyof MlpNames, N: number, K: number): ExpertMatrix =>
      loadExperts(from, names, part, [numExperts, N, K], bias);
    this.#gate = load('gate', intermediateSize, hiddenSize);
    this.#up = load('up', intermediateSize, hiddenSize);
    this.#down = load('down', hiddenSize, intermediateSize);
    const { reroute } = from.options;
    this.reroute = reroute && { ...reroute, stack: this.#gate.weight };
  }

  /** The weighted sum of the chosen experts' results for each row of x `[n, D]`: `[n, D]`. */
  apply(x: NDArray, [ids, weights]: Routes): NDArray {
    const precision = this.#precision;
    const apply = (input: NDArray, { weight, bias }: ExpertMatrix, scale?: NDArray): NDArray =>
      expertLinear(input, ids, weight, { precision, bias, weights: scale });
    const { activation, gate } = this.#config;
    const hidden = gated(activation, apply(x, this.#gate), apply(x, this.#up), gate);
    return apply(hidden, this.#down, weights).sum(1);
  }
}

/** What every token goes through. */
class SharedExpert {
  readonly #mlp: Mlp;
  readonly #gate: Linear | undefined;

  constructor(
    from: Loading,
    names: MoeNames,
    { activation }: MoeConfig,
    { intermediateSize, gated: hasGate, bias }: NonNullable<MoeConfig['shared']>,
    hiddenSize: number,
  ) {
    const mlp = { kind: 'dense', intermediateSize, activation, gated: true, bias } as const;
    this.#mlp = new Mlp(from, names.shared, mlp, hiddenSize);
    this.#gate = hasGate ? loadLinear(finely(from), names.sharedGate, [1, hiddenSize]) : undefined;
  }

  apply(x: NDArray): NDArray {
    const y = this.#mlp.apply(x);
    return this.#gate === undefined ? y : y.mul(this.#gate.apply(x).sigmoid());
  }
}

/** One tensor with all experts where the file has it, else one matrix per expert. */
function loadExperts(
  { load, options }: Loading,
  names: MoeNames,
  part: keyof MlpNames,
  shape: readonly [E: number, N: number, K: number],
  hasBias: boolean,
): ExpertMatrix {
  const [E, N] = shape;
  const stacked = names.stacked(part);
  const each = Array.from({ length: E }, (_, e) => `${names.expert(part, e)}.weight`);
  const weight = load.experts(load.has(`${stacked}.weight`) ? `${stacked}.weight` : each, shape);
  const bias = hasBias ? load.vector(`${stacked}.bias`, E * N).reshape([E, N]) : undefined;
  options.modules?.add(stacked, new ExpertStack(weight, bias));
  return { weight, bias };
}
