// Mixtures of experts as values: the router, the experts, and what every token goes through besides.

import { type Activation, readActivation } from './activations.ts';
import { type ConfigReader, limits } from './reader.ts';

export interface RouterConfig {
  /** What makes scores of logits; `softmax-chosen` is a softmax over the experts that were chosen only. */
  readonly score: 'softmax' | 'softmax-chosen' | 'sigmoid' | 'sqrt-softplus';
  /** The router has a bias of its own. */
  readonly bias: boolean;
  /** A learned number for each expert is added for the choice; weights are the scores without it. */
  readonly correction: boolean;
  /** Experts are chosen from the best `kept` of `count` groups only. */
  readonly groups?: { readonly count: number; readonly kept: number; readonly score: 'max' | 'best-two' };
  /** Weights of the chosen experts are divided by their sum; `epsilon` is added to it. */
  readonly normalised: boolean;
  readonly epsilon: number;
  /** Multiplies the weights at the end. */
  readonly scale: number;
}

export interface MoeConfig {
  readonly kind: 'moe';
  readonly numExperts: number;
  /** Experts per token. */
  readonly topK: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** Every matrix of every expert has a bias. */
  readonly bias: boolean;
  readonly router: RouterConfig;
  /** How the gate of an expert acts, where it is not activation(gate) * up. */
  readonly gate?: GateConfig;
  /** A gated MLP that every token goes through, times sigmoid(gate · x) when it has a gate. */
  readonly shared?: { readonly intermediateSize: number; readonly gated: boolean; readonly bias: boolean };
}

/** GPT-OSS and DeepSeek V4: both sides are kept small before they are multiplied. */
export interface GateConfig {
  /** The gate is at most this, up within ± this. */
  readonly limit?: number;
  /** gate · sigmoid(alpha · gate) in place of the activation. */
  readonly alpha?: number;
  /** Added to up. */
  readonly offset?: number;
}

/** The router of Mixtral: weights are a softmax over all experts, those of the chosen made to sum to 1. */
export const plainRouter: RouterConfig = {
  score: 'softmax',
  bias: false,
  correction: false,
  normalised: true,
  epsilon: 0,
  scale: 1,
};

/** How a config calls its sizes. */
export interface MoeKeys {
  readonly experts: string;
  readonly topK: string;
  readonly intermediateSize: string;
}

export const moeKeys: MoeKeys = {
  experts: 'num_experts',
  topK: 'num_experts_per_tok',
  intermediateSize: 'moe_intermediate_size',
};

/** Numbers of experts and the width of each. Throws bad_file when more are to be chosen than there are. */
export function readMoe(
  reader: ConfigReader,
  router: RouterConfig,
  keys: MoeKeys = moeKeys,
  more: Partial<Pick<MoeConfig, 'activation' | 'bias' | 'shared' | 'gate'>> = {},
): MoeConfig {
  const experts = reader.has(keys.experts) ? keys.experts : 'num_local_experts';
  const numExperts = reader.int(experts, { min: 1, max: limits.experts.max });
  const topK = reader.int(keys.topK, { min: 1, max: limits.experts.max });
  if (topK > numExperts) reader.fail(keys.topK, `is ${topK}, but there are ${numExperts} experts`);
  checkGroups(reader, router, numExperts, topK);
  return {
    kind: 'moe',
    numExperts,
    topK,
    intermediateSize: reader.int(keys.intermediateSize, limits.intermediateSize),
    activation: more.activation ?? readActivation(reader),
    bias: more.bias ?? false,
    router,
    ...(more.gate === undefined ? {} : { gate: more.gate }),
    ...(more.shared === undefined ? {} : { shared: more.shared }),
  };
}

function checkGroups(reader: ConfigReader, { groups }: RouterConfig, experts: number, topK: number): void {
  if (groups === undefined) return;
  const { count, kept } = groups;
  if (experts % count !== 0) reader.fail('n_group', `is ${count}, must divide the ${experts} experts evenly`);
  if (kept > count) reader.fail('topk_group', `is ${kept}, but there are ${count} groups`);
  if (topK > (experts / count) * kept)
    reader.fail(
      'topk_group',
      `${kept} groups hold ${(experts / count) * kept} experts, ${topK} are to be chosen`,
    );
}

/** `n_group` and `topk_group`; undefined for a single group, which is no restriction, and where they are null. */
export function readGroups(
  reader: ConfigReader,
  score: 'max' | 'best-two',
  fallback: { readonly count: number; readonly kept: number } = { count: 1, kept: 1 },
): NonNullable<RouterConfig['groups']> | undefined {
  const range = { min: 1, max: limits.experts.max };
  const [count, kept] = reader.stated('n_group') ? [1, 1] : [fallback.count, fallback.kept];
  const groups = { count: reader.int('n_group', range, count), kept: reader.int('topk_group', range, kept) };
  return groups.count === 1 ? undefined : { ...groups, score };
}
