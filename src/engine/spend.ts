// Formats of single tensors so that a model has a given number of bits per weight, spent where a calibration text says they matter.

import { IngotError } from '../base/errors.ts';
import type { SourceFormat } from '../quant/format.ts';
import { isFloatLayout } from '../quant/layout.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { spendBits } from '../weights/export/budget.ts';
import { bitsOf, type ExportFormats, fitting, planExport, weightsOf } from '../weights/export/plan.ts';
import { formatErrors, measureSensitivity } from './sensitivity.ts';

export interface SpendOptions {
  readonly path: string;
  readonly bitsPerWeight: number;
  /** Text that the model reads. */
  readonly calibration?: string | undefined;
  /** Formats to choose from. */
  readonly ladder: readonly SourceFormat[];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What was chosen for a matrix. */
export interface FormatChoice {
  readonly name: string;
  readonly format: string;
  /** KL that this format alone adds, in nats per token, as estimated. */
  readonly kl: number;
}

export interface Spent {
  readonly single: ReadonlyMap<string, SourceFormat>;
  readonly choices: readonly FormatChoice[];
}

/** Throws invalid_argument for fewer bits than the smallest formats take. */
export async function spendOnTensors(
  checkpoint: Checkpoint,
  formats: ExportFormats,
  { path, bitsPerWeight, calibration: text, ladder, signal, onProgress }: SpendOptions,
): Promise<Spent> {
  const plan = planExport(checkpoint, formats);
  const quantised = plan.filter(({ format }) => !isFloatLayout(format.layout));
  const tensors = quantised.map(({ tensor }) => tensor);
  const offered = tensors.map((tensor) => {
    const fit = ladder.flatMap((format) => fitting(format, tensor, formats.fallback) ?? []);
    return [...new Set(fit)];
  });
  const total = weightsOf(plan);
  const fixed = plan.filter(({ tensor, format }) => tensor.shape.length > 1 && isFloatLayout(format.layout));
  const floats = fixed.reduce((sum, { tensor, format }) => sum + bitsOf(tensor, format), 0);
  const least = tensors.reduce(
    (sum, tensor, t) => sum + Math.min(...(offered[t] ?? []).map((format) => bitsOf(tensor, format))),
    floats,
  );
  if (least > bitsPerWeight * total) {
    throw new IngotError(
      'invalid_argument',
      `${bitsPerWeight} bits per weight are too few: the smallest formats take ${(least / total).toFixed(2)}`,
      { details: { bitsPerWeight, least: least / total } },
    );
  }
  const sensitivity = await measureSensitivity({ path, text, tensors, signal, onProgress });
  const choices = await Promise.all(
    tensors.map(async (tensor, t) => {
      const errors = await formatErrors(tensor, offered[t] ?? []);
      const weight = sensitivity.get(tensor.name) ?? 0;
      return (offered[t] ?? []).map((format, i) => ({
        bits: bitsOf(tensor, format),
        error: weight * (errors[i] as number),
      }));
    }),
  );
  const chosen = spendBits(choices, bitsPerWeight * total - floats);
  const single = new Map<string, SourceFormat>();
  const told = tensors.map(({ name }, t): FormatChoice => {
    const format = offered[t]?.[chosen[t] as number] as SourceFormat;
    single.set(name, format);
    return { name, format: format.name, kl: choices[t]?.[chosen[t] as number]?.error ?? 0 };
  });
  return { single, choices: told };
}
