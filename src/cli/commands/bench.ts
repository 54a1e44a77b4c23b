// ingot bench: runs the benchmark of the checkout with the given arguments.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Context } from '../context.ts';

export function register(program: Command, context: Context): void {
  program
    .command('bench')
    .description("measure speed against the machine's limits (in a checkout)")
    .argument('[args...]', "for example: decode smol; --help shows the benchmark's own help")
    .allowUnknownOption()
    .helpOption(false)
    .action((args: string[]) => bench(context, args));
}

async function bench(context: Context, args: readonly string[]): Promise<void> {
  // The bundle of this command is in dist/ or dist/cli/.
  const candidates = ['./bench/main.js', '../bench/main.js'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const script = candidates.find((path) => existsSync(path));
  if (script === undefined) {
    throw new IngotError(
      'unsupported',
      'the benchmark is not part of the published package; run "npm run bench" in a checkout',
    );
  }
  const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit', signal: context.signal });
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status) => resolve(status ?? 1));
  });
  if (code !== 0) process.exitCode = code;
}
