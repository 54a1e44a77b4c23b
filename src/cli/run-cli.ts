// Runs one command line and says how it went: 0, 1 after an error that was shown, 130 after Ctrl-C, 143 when asked to end.

import { CommanderError } from 'commander';
import { IngotError } from '../base/errors.ts';
import { type Context, Interrupt } from './context.ts';
import { buildCommands } from './program.ts';

/** `args` are without node and script. Never rejects. */
export async function runCli(args: readonly string[], context: Context): Promise<number> {
  const program = buildCommands(context);
  try {
    if (args.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 1;
    if (context.signal.aborted) {
      context.stderr.write('\ninterrupted\n');
      const { reason } = context.signal;
      return reason instanceof Interrupt ? reason.exitCode : 130;
    }
    context.stderr.write(`${formatError(error)}\n`);
    return 1;
  }
}

/** One message for a user; only errors that are bugs come with their stack. */
export function formatError(error: unknown): string {
  if (error instanceof IngotError && error.code !== 'internal') return `error: ${error.message}`;
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  // What the system refused, such as writing to a folder, names the path itself.
  if ('syscall' in error) return `error: ${error.message}`;
  return `error: ${error.message}\nThis is a bug in Ingot. Please report it with the lines below.\n${error.stack ?? ''}`;
}
