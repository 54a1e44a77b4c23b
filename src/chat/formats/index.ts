// The ways to write tool calls, the most telling first.

import type { CallFormat } from '../format.ts';
import { deepseek, deepseekV31 } from './deepseek.ts';
import { deepseekV4, deepseekV32 } from './deepseek-dsml.ts';
import { gemma } from './gemma.ts';
import { glm } from './glm.ts';
import { granite } from './granite.ts';
import { harmony } from './harmony.ts';
import { hermes } from './hermes.ts';
import { lfm2 } from './lfm2.ts';
import { llama3 } from './llama3.ts';
import { mistral } from './mistral.ts';
import { mistralArgs } from './mistral-args.ts';
import { phi4 } from './phi4.ts';
import { qwenCoder } from './qwen-coder.ts';

export const callFormats: readonly CallFormat[] = [
  harmony,
  deepseekV4,
  deepseekV32,
  deepseekV31,
  deepseek,
  mistralArgs,
  mistral,
  glm,
  lfm2,
  phi4,
  granite,
  gemma,
  qwenCoder,
  llama3,
  hermes,
];
