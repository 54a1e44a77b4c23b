// The ways to write tool calls, the most telling first.

import type { CallFormat } from '../format.ts';
import { deepseek } from './deepseek.ts';
import { hermes } from './hermes.ts';
import { llama3 } from './llama3.ts';
import { mistral } from './mistral.ts';
import { qwenCoder } from './qwen-coder.ts';

export const callFormats: readonly CallFormat[] = [deepseek, mistral, qwenCoder, llama3, hermes];
