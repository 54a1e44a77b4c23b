// ingot quantize MODEL --to FORMAT: writes a model with quantised weights.

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Context } from '../context.ts';
import { number, positive } from '../options.ts';
import { writeModel } from './convert.ts';

interface QuantizeFlags {
  readonly to?: string;
  readonly bitsPerWeight?: number;
  readonly calibration?: string;
  readonly out?: string;
  readonly groupSize?: number;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  program
    .command('quantize')
    .description('write a model with quantised weights')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .option(
      '--to <format>',
      'affine2 to affine8, mxfp4, mxfp8, nvfp4 (folders that MLX reads), fp8, nf4 (safetensors), q4_0 … q8_0, q2_k … q6_k and their mixes such as q4_k_m, iq4_nl, iq4_xs (GGUF), packed',
    )
    .option(
      '--out <path>',
      "file or folder to write (default: the model's name and the format, in this folder)",
    )
    .option(
      '--group-size <columns>',
      'columns that share a scale in the affine formats: 32, 64 or 128',
      positive,
    )
    .option(
      '--bits-per-weight <bits>',
      'in place of a format: one for each matrix, by how much the predictions depend on it; --to is gguf (default) or mlx',
      number,
    )
    .option('--calibration <file>', 'text that the model reads for that (default: a short one of its own)')
    .option('--json', 'print one JSON document')
    .action((name: string, flags: QuantizeFlags) => quantize(context, name, flags));
}

async function quantize(context: Context, name: string, flags: QuantizeFlags): Promise<void> {
  const { to, out: output, groupSize, bitsPerWeight, calibration: file, json = false } = flags;
  if (to === undefined && bitsPerWeight === undefined)
    throw new IngotError(
      'invalid_argument',
      'say what to quantise to: --to FORMAT, or --bits-per-weight BITS',
    );
  const text =
    file === undefined
      ? undefined
      : await readFile(file, 'utf8').catch((cause: unknown) => {
          throw new IngotError('not_found', `${file} cannot be read: ${(cause as Error).message}`, { cause });
        });
  const options = { to: (to ?? 'gguf').toLowerCase(), output, groupSize, bitsPerWeight, calibration: text };
  await writeModel(context, name, options, 'Quantising', json);
}
