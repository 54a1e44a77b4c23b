// The book of choices: what was measured of each fusion, by device and shape of the model. Records ship with the package, and
// `smartPatch` adds those of this machine. Defaults of a load come from it.

import { allPatterns, type PatternName, type PatternSet, patternTable } from '../array/patterns.ts';
import shipped from './shipped-records.json' with { type: 'json' };
import type { RecordPlace } from './target.ts';

/** One fusion on one class of devices and models, against the same plan without it. */
export interface PatternRecord extends RecordPlace {
  readonly pattern: PatternName;
  /** Whether it is used there by default. */
  readonly fused: boolean;
  /** Speed with it over speed without it: medians of interleaved runs. */
  readonly decode: number;
  readonly prefill: number;
  /** Whether all greedy tokens were those of the unfused plan, and how many were compared. */
  readonly tokensEqual: boolean;
  readonly tokens: number;
}

/** Where records of this machine are kept. */
export interface RecordStore {
  /** Empty when there are none. */
  load(): readonly PatternRecord[];
  /** Keeps these in place of earlier ones of the same pattern, device and shape; returns where, undefined when they could not be kept. */
  save(records: readonly PatternRecord[]): string | undefined;
}

export const shippedRecords: readonly PatternRecord[] = recordsIn(shipped);

/** The records in a JSON value; what is none is left out. */
export function recordsIn(value: unknown): readonly PatternRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isRecord(value: unknown): value is PatternRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { device, family, shape, pattern, fused, decode, prefill, tokensEqual, tokens } = value as Partial<
    Record<keyof PatternRecord, unknown>
  >;
  return (
    [device, family, shape].every((x) => typeof x === 'string') &&
    typeof pattern === 'string' &&
    Object.hasOwn(patternTable, pattern) &&
    [fused, tokensEqual].every((x) => typeof x === 'boolean') &&
    [decode, prefill, tokens].every((x) => typeof x === 'number' && Number.isFinite(x))
  );
}

/** Later records take the place of earlier ones of the same pattern, device, family and shape. */
export function mergeRecords(...lists: readonly (readonly PatternRecord[])[]): readonly PatternRecord[] {
  const byKey = new Map<string, PatternRecord>();
  for (const record of lists.flat()) {
    const { pattern, device, family, shape } = record;
    byKey.set([pattern, device, family, shape].join('|'), record);
  }
  return [...byKey.values()];
}

/**
 * The fusions that records advise: all, but for those that were slower or changed a token on such a device with such a model, and
 * those that changed a token with any model of the family on such a kind of device. What is slower in one size is not in another.
 */
export function advised(place: RecordPlace, records: readonly PatternRecord[]): PatternSet {
  const chosen = new Set(allPatterns);
  const near = records.filter((r) => r.family === place.family && kindOf(r.device) === kindOf(place.device));
  for (const { pattern, tokensEqual } of near) if (!tokensEqual) chosen.delete(pattern);
  for (const { pattern, fused, device, shape } of near) {
    if (device !== place.device || shape !== place.shape) continue;
    if (fused) chosen.add(pattern);
    else chosen.delete(pattern);
  }
  return chosen;
}

const kindOf = (device: string): string => device.split(' ')[0] ?? device;
