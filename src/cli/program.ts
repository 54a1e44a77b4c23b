// All commands. Adding one is a file in commands/ and a line here.

import { Command } from 'commander';
import * as bench from './commands/bench.ts';
import * as chat from './commands/chat.ts';
import * as convert from './commands/convert.ts';
import * as cp from './commands/cp.ts';
import * as create from './commands/create.ts';
import * as doctor from './commands/doctor.ts';
import * as embed from './commands/embed.ts';
import * as evaluate from './commands/eval.ts';
import * as launch from './commands/launch.ts';
import * as list from './commands/list.ts';
import * as pack from './commands/pack.ts';
import * as ps from './commands/ps.ts';
import * as pull from './commands/pull.ts';
import * as quantize from './commands/quantize.ts';
import * as rm from './commands/rm.ts';
import * as run from './commands/run.ts';
import * as serve from './commands/serve.ts';
import * as show from './commands/show.ts';
import * as stats from './commands/stats.ts';
import * as stop from './commands/stop.ts';
import * as tune from './commands/tune.ts';
import * as validate from './commands/validate.ts';
import type { Context } from './context.ts';

const commands = [
  run,
  chat,
  pull,
  list,
  show,
  rm,
  create,
  cp,
  embed,
  serve,
  launch,
  ps,
  stop,
  pack,
  quantize,
  convert,
  evaluate,
  stats,
  bench,
  doctor,
  tune,
  validate,
];

/** The command line. Parsing errors are thrown as CommanderError after their message was written. */
export function buildCommands(context: Context): Command {
  const program = new Command('ingot')
    .description('Runs language models on this machine.')
    .version(context.version, '-v, --version')
    .showHelpAfterError('(--help shows the options)')
    .exitOverride()
    .configureHelp({ minWidthToWrap: 20 })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      getOutHelpWidth: () => context.stdout.columns,
      getErrHelpWidth: () => context.stderr.columns,
    });
  for (const { register } of commands) register(program, context);
  // Settings of the program hold for commands made before them only when copied.
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}
