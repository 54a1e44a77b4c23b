// ingot validate MODEL: a model without fusions against the same with them, or any two ways to run it; the report of an earlier one.

import { readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import { significant } from '../../base/statistics.ts';
import type { Capsule } from '../../patch/capsule.ts';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags, positive } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { formatTable } from '../table.ts';

interface ValidateFlags extends ModelFlags {
  readonly against?: string;
  readonly patterns?: string;
  readonly prompts?: string;
  readonly tokens?: number;
  readonly rounds?: number;
  readonly save?: string;
  readonly report?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('validate')
    .description(
      'compare a model with itself without fusions, or with another way to run it: tokens, logits, speed',
    )
    .argument('[model]', 'short name, user/repo of the hub, or path')
    .option(
      '--against <how>',
      'what to compare with: patterns=none (default), device=js, precision=exact, experts=streamed, model=NAME, joined by commas',
    )
    .option(
      '--patterns <names>',
      'fusions to validate: all, none, names joined by +, or -name for all but one',
    )
    .option('--prompts <file>', 'one prompt a line in place of the twenty that come with Ingot')
    .option('--tokens <n>', 'tokens after each prompt, default 200', positive)
    .option('--rounds <n>', 'rounds that are timed, default 3', positive)
    .option('--save <file>', 'write what was found as JSON')
    .option('--report <file>', 'render such a file as markdown and SVG instead')
    .option('--out <folder>', 'where the report goes, default beside the file')
    .option('--json', 'print one JSON document');
  addModelOptions(command).action(async (name: string | undefined, flags: ValidateFlags) => {
    if (flags.report !== undefined) return report(context, flags.report, flags.out);
    if (name === undefined) {
      throw new IngotError('invalid_argument', 'say which model to validate, or give --report <file>');
    }
    return validate(context, name, flags);
  });
}

async function validate(context: Context, name: string, flags: ValidateFlags): Promise<void> {
  const prompts = flags.prompts === undefined ? undefined : await readPrompts(flags.prompts);
  const progress = createProgress(context.stderr);
  const counter = createProgress(context.stderr, { unit: 'prompts' });
  const patterns =
    flags.patterns === undefined
      ? undefined
      : (await import('../../engine/validate.ts')).parsePatterns(flags.patterns);
  const capsule = await context.engine
    .validate(name, {
      ...loadOptions(flags, context.signal),
      ...progressCallbacks(progress),
      patterns,
      against: flags.against,
      prompts,
      tokens: flags.tokens,
      rounds: flags.rounds,
      version: context.version,
      onPrompts: (done, total) => {
        progress.finish();
        counter.update('Comparing', done, total);
      },
    })
    .finally(() => {
      progress.finish();
      counter.finish();
    });
  if (flags.save !== undefined) await writeFile(flags.save, `${JSON.stringify(capsule, null, 1)}\n`);
  if (flags.json === true) printJson(context.stdout, capsule);
  else context.stdout.write(summary(capsule));
  if (!capsule.passed) process.exitCode = 1;
}

async function readPrompts(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new IngotError('not_found', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  });
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new IngotError('invalid_argument', `${path} has no prompts: one a line`);
  return lines;
}

async function report(context: Context, path: string, out = dirname(path)): Promise<void> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new IngotError('not_found', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  });
  const { parseCapsule, renderMarkdown, renderSvg } = await import('../../patch/report.ts');
  const capsule = parseCapsule(text, path);
  const stem = join(out, basename(path).replace(/\.json$/, ''));
  await writeFile(`${stem}.svg`, renderSvg(capsule));
  const markdown = renderMarkdown(capsule).replace(
    '\n\n',
    `\n\n![speeds and tokens](${basename(stem)}.svg)\n\n`,
  );
  await writeFile(`${stem}.md`, markdown);
  context.stdout.write(`${stem}.md\n${stem}.svg\n`);
}

function summary({ reference, other, prompts, decode, prefill, logits, promises, passed }: Capsule): string {
  const equal = prompts.filter((p) => p.equal === p.tokens).length;
  const speeds = [
    ['', reference.label, other.label, 'RATIO'],
    [
      'decode, tokens/s',
      String(decode.reference.median),
      String(decode.other.median),
      String(decode.ratio.median),
    ],
    [
      'prefill, tokens/s',
      String(prefill.reference.median),
      String(prefill.other.median),
      String(prefill.ratio.median),
    ],
    ['dispatches', String(reference.dispatches), String(other.dispatches)],
  ];
  const lines = promises.map(({ what, held, found }) => `${held ? 'held  ' : 'BROKEN'}  ${what}: ${found}`);
  const far =
    logits === undefined
      ? ''
      : `logits: differ by ${significant(logits.maxAbs, 3)} at most, best token the same in ${(100 * logits.top1).toFixed(2)} % of ${logits.rows} rows\n`;
  return `${other.model} on ${other.device}, ${other.precision}\n${formatTable(speeds, [1, 2, 3])}tokens: ${equal} of ${prompts.length} prompts the same to the end\n${far}${lines.join('\n')}\n${passed ? 'passed' : 'failed'}\n`;
}
