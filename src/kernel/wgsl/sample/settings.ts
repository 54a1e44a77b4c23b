// How a row of logits is sampled: words of the settings buffer, as WGSL functions of the row.

import type { BufferPlace } from '../../signature.ts';
import type { GpuBinding } from '../contract.ts';

/** The settings in the order of their words. `docs/cpu-kernels.md` describes them. */
const words = [
  ['temperature', 'f32'],
  ['top_k', 'i32'],
  ['top_p', 'f32'],
  ['min_p', 'f32'],
  ['seed', 'u32'],
  ['step', 'u32'],
  ['repetition', 'f32'],
  ['presence', 'f32'],
  ['frequency', 'f32'],
  ['slot', 'i32'],
  ['mask', 'i32'],
  ['top', 'i32'],
] as const;

export type SettingName = (typeof words)[number][0];

export interface Settings {
  readonly bindings: readonly GpuBinding[];
  /** `row_NAME(row: u32)` for each name. */
  readonly code: string;
}

/** The settings of these names, which the dispatch has in a buffer of 12 words a row. */
export function rowSettings(buffer: BufferPlace, names: readonly SettingName[]): Settings {
  const code = names.map((name) => {
    const at = words.findIndex(([w]) => w === name);
    const type = words[at]?.[1] ?? 'i32';
    const word = `settings[row * ${words.length}u + ${at}u]`;
    return `fn row_${name}(row: u32) -> ${type} { return ${type === 'i32' ? word : `bitcast<${type}>(${word})`}; }\n`;
  });
  return {
    bindings: [{ buffer, name: 'settings', type: 'array<i32>', access: 'read' }],
    code: code.join(''),
  };
}
