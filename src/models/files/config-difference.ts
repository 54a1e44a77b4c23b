// Whether two configs are the same model: what a file that was written says against what it was written from.

import { type RopeConfig, ropeFrequencies } from '../../nn/rope.ts';
import type { ModelConfig } from '../contract.ts';

/** Families that share layers read each other's files; tokens that end a text are the tokenizer's. */
const ignored = new Set(['family', 'bosTokenId', 'eosTokenIds']);

/** Numbers in files are f32, and frequencies are computed from some that were rounded. */
const tolerance = 1e-5;

/** The first field that differs, with both values; undefined when there is none. */
export function configDifference(want: ModelConfig, got: ModelConfig): string | undefined {
  return differs(want, got, '', want.contextLength);
}

function differs(want: unknown, got: unknown, path: string, context: number): string | undefined {
  if (isRope(want) && isRope(got))
    return differs(rotation(want, context), rotation(got, context), path, context);
  if (isObject(want) && isObject(got)) {
    for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) {
      if (path === '' && ignored.has(key)) continue;
      const found = differs(want[key], got[key], path === '' ? key : `${path}.${key}`, context);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const same =
    typeof want === 'number' && typeof got === 'number'
      ? Math.abs(want - got) <= tolerance * Math.abs(want)
      : want === got;
  return same ? undefined : `${path} ${shown(want)} (it would be read as ${shown(got)})`;
}

const shown = (value: unknown): string =>
  value === undefined ? 'absent' : (JSON.stringify(value) ?? String(value)).slice(0, 60);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isRope = (value: unknown): value is RopeConfig =>
  isObject(value) && 'rotaryDim' in value && 'scaling' in value;

/** What settings come to, short and at full length: one rotation can be said in several ways. */
function rotation(rope: RopeConfig, context: number): object {
  const at = (length: number): object => {
    const { invFreq, attentionFactor } = ropeFrequencies(rope, length);
    return { frequencies: [...invFreq], attentionFactor };
  };
  return {
    rotaryDim: rope.rotaryDim,
    interleaved: rope.interleaved ?? false,
    ...(rope.scaling.kind === 'longrope' ? { originalContext: rope.scaling.originalContext } : {}),
    long: at(context),
    short: at(1),
  };
}
