// Tunes the kernels of a model on a GPU and keeps the choices where the next load finds them: all of them when asked to, and
// the few that matter when a model is loaded on a GPU where nobody measured them.

import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { WebGpuDevice } from '../device/webgpu/device.ts';
import { type TypicalRun, tuneProgram, unknownKeys } from '../device/webgpu/tune.ts';
import type { Runner } from '../generate/runner.ts';
import { relativeChoices } from '../kernel/tune/shipped.ts';
import type { Model, TuneOptions, TuneReport } from './types.ts';

/** A loaded model, as far as tuning needs it. */
export interface Tunable {
  readonly device: Device;
  readonly runner: Runner;
  readonly model: Pick<Model, 'generate'>;
  readonly vocabSize: number;
  readonly contextLength: number;
}

/** All of `ingot tune` stays under a minute: the last measurement begins before this. */
const TUNE_MS = 28_000;

/** The first load on a GPU: the last measurement begins before this, of five seconds that are promised. */
const FIRST_MS = 3_500;

/** Throws unsupported for a device that has nothing to tune. */
export async function tuneModel(tunable: Tunable, options: TuneOptions): Promise<TuneReport> {
  const { device, runner } = tunable;
  if (!(device instanceof WebGpuDevice)) {
    throw new IngotError(
      'unsupported',
      `there is nothing to tune on device '${device.name}': load with 'webgpu'`,
    );
  }
  const loads = [
    typicalRun(tunable, { prompt: 512, maxTokens: 1 }),
    typicalRun(tunable, { prompt: 512, maxTokens: 2 }),
  ];
  const { results, choices } = await tuneProgram(device, runner.tunable.program, {
    budgetMs: TUNE_MS,
    ...options,
    loads,
  });
  return { results, path: device.keepChoices(choices) };
}

/** What of the choices of decoding matters on a GPU that nobody tuned: the kernels that read weights, and chains. */
const matters = (key: string): boolean => /^(linear_row|moe_glu|moe_down|attention rows|chain)\b/.test(key);

/**
 * Measures what matters of decoding where nobody did, in five seconds at most, says so, and remembers; a software GPU is never
 * measured, nor one that has no timestamps. Whether the plan has to be made again.
 */
export async function tuneFirst(
  tunable: Tunable,
  {
    signal,
    onNotice,
  }: { readonly signal?: AbortSignal | undefined; readonly onNotice?: ((text: string) => void) | undefined },
  budgetMs = FIRST_MS,
): Promise<boolean> {
  const { device, runner } = tunable;
  if (!(device instanceof WebGpuDevice) || !device.canTime || device.identity.software !== false)
    return false;
  const { program } = runner.tunable;
  const unknown = unknownKeys(device, program).filter(matters);
  if (unknown.length === 0) return false;
  const relative = relativeChoices(device.identity);
  const start = relative === undefined ? '' : `, beginning with those of ${relative.from}`;
  onNotice?.(
    `Measuring which kernels are fastest on ${device.identity.name}${start}: once, in five seconds at most.`,
  );
  const { results } = await tuneProgram(device, program, {
    loads: [typicalRun(tunable, { prompt: 32, maxTokens: 2 })],
    runs: 2,
    candidates: 5,
    budgetMs,
    only: (key) => unknown.includes(key),
    signal,
  });
  // What there was no time for is not tried again with every load: `ingot tune` does.
  for (const key of unknown) device.choices.settle(key);
  const path = device.keepChoices(device.choices.measured());
  const faster = results.filter(({ ratio }) => ratio < 1).length;
  const where = path === undefined ? 'It could not be remembered.' : `Remembered in ${path}.`;
  onNotice?.(`${faster} of ${results.length} choices changed. ${where} \`ingot tune\` measures all of them.`);
  return faster > 0;
}

/** A prompt that no cache knows: its last step is the prefill of a chunk, or one row when a second token is asked for. */
function typicalRun(
  { runner, model, vocabSize, contextLength }: Tunable,
  sizes: { readonly prompt: number; readonly maxTokens: number },
): TypicalRun {
  const { maxTokens } = sizes;
  return async () => {
    const length = Math.max(1, Math.min(sizes.prompt, contextLength - maxTokens));
    const prompt = Array.from({ length }, () => Math.floor(Math.random() * vocabSize));
    for await (const _ of model.generate(prompt, { maxTokens, ignoreEos: true }));
    return runner.tunable.scalars;
  };
}
