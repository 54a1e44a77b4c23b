// ingot quantize MODEL --to FORMAT: writes a model with quantised weights.

import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { positive } from '../options.ts';
import { writeModel } from './convert.ts';

interface QuantizeFlags {
  readonly to: string;
  readonly out?: string;
  readonly groupSize?: number;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  program
    .command('quantize')
    .description('write a model with quantised weights')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .requiredOption(
      '--to <format>',
      'affine2 to affine8, mxfp4, mxfp8, nvfp4 (folders that MLX reads), fp8 (safetensors), q4_0 … q8_0, q2_k … q6_k, iq4_nl, iq4_xs (GGUF), packed',
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
    .option('--json', 'print one JSON document')
    .action((name: string, { to, out, groupSize, json }: QuantizeFlags) =>
      writeModel(
        context,
        name,
        { to: to.toLowerCase(), output: out, groupSize },
        'Quantising',
        json === true,
      ),
    );
}
