// What `ingot validate` found, as data: one JSON document with machine and versions, which `ingot validate --report` renders.

import type { PatternCounts, PatternName } from '../array/patterns.ts';
import type { Summary } from '../base/statistics.ts';

/** Raised when the form of the document changes. */
export const capsuleVersion = 1;

/** How one of the two ran. */
export interface CapsuleSide {
  /** Such as `fused` or `device=js`. */
  readonly label: string;
  readonly model: string;
  readonly family: string;
  readonly format: string;
  readonly device: string;
  readonly deviceClass: string;
  readonly precision: string;
  readonly patterns: readonly PatternName[];
  readonly patternCounts: PatternCounts;
  readonly dispatches: number;
}

/** Where the tokens of one prompt go apart. */
export interface PromptFidelity {
  readonly promptTokens: number;
  readonly tokens: number;
  /** Tokens in front of the first that differs; all of them when none does. */
  readonly equal: number;
  /** By how much the reference's logit of its token is above the next there; undefined when no token differs. */
  readonly margin: number | undefined;
}

/** Logits of the same rows: those of the prompts and of the reference's tokens. */
export interface LogitDifferences {
  readonly rows: number;
  readonly maxAbs: number;
  readonly meanAbs: number;
  /** Of the rows' largest differences. */
  readonly p99: number;
  /** Share of rows whose best token is the same. */
  readonly top1: number;
  /** Mean over rows of KL(reference || other), in nats. */
  readonly kl: number;
}

/** Tokens per second of rounds in turn, and how many times as fast the second was in each. */
export interface SpeedComparison {
  readonly reference: Summary;
  readonly other: Summary;
  readonly ratio: Summary;
}

/** Something that must not differ, and whether it did. */
export interface CapsulePromise {
  readonly what: string;
  readonly held: boolean;
  readonly found: string;
}

export interface Capsule {
  readonly capsule: typeof capsuleVersion;
  readonly ingot: string;
  readonly node: string;
  readonly date: string;
  readonly machine: {
    readonly platform: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryBytes: number;
  };
  readonly reference: CapsuleSide;
  readonly other: CapsuleSide;
  readonly prompts: readonly PromptFidelity[];
  /** Runs of each that were compared with its first. */
  readonly runs: number;
  readonly logits: LogitDifferences | undefined;
  readonly decode: SpeedComparison;
  readonly prefill: SpeedComparison;
  /** Most bytes that buffers of the devices took, and that the process took. */
  readonly memory: {
    readonly referenceBytes: number;
    readonly otherBytes: number;
    /** One model and one device ran as both. */
    readonly shared: boolean;
    readonly processBytes: number;
  };
  readonly promises: readonly CapsulePromise[];
  readonly passed: boolean;
}
