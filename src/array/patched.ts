// What `patch` of `ingot/patch` set for a function or module: its plans use these fusions unless they are told otherwise.

import type { PatternCounts, PatternName, PatternSet } from './patterns.ts';

export interface PatchSetting {
  readonly patterns: PatternSet;
  /** Patterns that were asked for by name: a plan in which one of them matches nothing is refused. */
  readonly wanted: readonly PatternName[];
  /** Told of every plan that is made. */
  readonly onPlan: (counts: PatternCounts) => void;
}

const settings = new WeakMap<object, PatchSetting>();

export const patchSetting = (target: object): PatchSetting | undefined => settings.get(target);

export function setPatch(target: object, setting: PatchSetting | undefined): void {
  if (setting === undefined) settings.delete(target);
  else settings.set(target, setting);
}
