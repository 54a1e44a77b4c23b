#!/usr/bin/env node
// The command `ingot`: sets up streams and signals, runs one command, turns errors into one message and an exit code.

import { readFileSync } from 'node:fs';
import { env } from '../base/env.ts';
import { setLogSink } from '../base/log.ts';
import { type Context, Interrupt, outputOf } from './context.ts';
import { realEngine } from './engine.ts';
import { runCli } from './run-cli.ts';

/** The version of the package this file belongs to: package.json is one or two folders up. */
function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (name === 'ingot' && typeof version === 'string') return version;
    } catch {}
  }
  return '0.0.0';
}

const controller = new AbortController();
let left = false;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (left && name === 'SIGINT') return;
    const interrupt = new Interrupt(name);
    // The second one does not wait for anything.
    if (controller.signal.aborted) process.exit(interrupt.exitCode);
    controller.abort(interrupt);
  });
}

const context: Context = {
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  stdin: process.stdin,
  env,
  signal: controller.signal,
  leaveInterrupts: () => {
    left = true;
    return () => {
      left = false;
    };
  },
  engine: realEngine,
  version: packageVersion(),
};
setLogSink((level, message) => {
  if (level !== 'debug') context.stderr.write(`${message}\n`);
});
process.exitCode = await runCli(process.argv.slice(2), context);
process.stdin.unref?.();
