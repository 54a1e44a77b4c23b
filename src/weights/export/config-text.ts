// config.json as text. Python tells 0 from 0.0, and readers that check types refuse the one for the other: numbers that were floats in the
// source stay so.

import type { JsonObject } from '../json.ts';

/** Fields that are floats whatever their value, for configs that were made of other metadata. */
const floats = [
  'attention_multiplier',
  'attn_logit_softcapping',
  'clip_qkv',
  'embedding_multiplier',
  'factor',
  'final_logit_softcapping',
  'logit_scale',
  'logits_scaling',
  'partial_rotary_factor',
  'residual_multiplier',
  'rope_theta',
  'routed_scaling_factor',
];

/** `source` is the text of the config that this one comes from, when there is one. */
export function configText(config: JsonObject, source?: string): string {
  const found = source?.matchAll(/"([^"\\]+)"\s*:\s*-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)/g) ?? [];
  const names = new Set([...(source === undefined ? floats : []), ...Array.from(found, (match) => match[1])]);
  const text = JSON.stringify(config, null, 2);
  return `${text.replace(/^(\s*)"([^"\\]+)": (-?\d+)(,?)$/gm, (line, space, name, digits, comma) =>
    names.has(name) ? `${space}"${name}": ${digits}.0${comma}` : line,
  )}\n`;
}
