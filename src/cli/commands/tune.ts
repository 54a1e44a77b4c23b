// ingot tune: measures which variants of the kernels are fastest on this GPU for a model's shapes, and keeps the choices.

import type { Command } from 'commander';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags } from '../options.ts';
import { createProgress } from '../progress.ts';
import { formatTable } from '../table.ts';

export function register(program: Command, context: Context): void {
  addModelOptions(
    program
      .command('tune')
      .description("measure which kernels are fastest on this GPU for a model's shapes, and keep the choices")
      .argument('<model>', 'name or path'),
  )
    .option('--json', 'print one JSON document')
    .action(async (name: string, flags: ModelFlags & { json?: boolean }) => {
      const progress = createProgress(context.stderr, { unit: 'kernels' });
      using model = await context.engine.load(name, {
        ...loadOptions(flags, context.signal),
        device: flags.device ?? 'webgpu',
        tune: false,
      });
      let report: Awaited<ReturnType<typeof model.tune>>;
      try {
        report = await model.tune({
          signal: context.signal,
          onProgress: (done, total, family) => progress.update(`Tuning ${family}`, done, total),
        });
      } finally {
        progress.finish();
      }
      if (flags.json === true) {
        printJson(context.stdout, report);
        return;
      }
      const rows = report.results.map(({ key, candidate, ratio }) => [
        key,
        candidate,
        `${(100 * ratio).toFixed(0)} %`,
      ]);
      context.stdout.write(formatTable([['KERNEL AND SHAPE', 'FASTEST', 'TIME'], ...rows]));
      context.stdout.write(`kept in ${report.path}\n`);
    });
}
