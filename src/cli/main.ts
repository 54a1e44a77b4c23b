#!/usr/bin/env node
// The command `ingot`: sets up streams and signals, runs one command, turns errors into one message and an exit code.

import { readFileSync } from 'node:fs';
import { env } from '../base/env.ts';
import { setLogSink } from '../base/log.ts';
import { type Context, outputOf } from './context.ts';
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
const interrupted = (): void => {
  // The second one does not wait for anything.
  if (controller.signal.aborted) process.exit(130);
  controller.abort();
};
process.on('SIGINT', interrupted);
process.on('SIGTERM', interrupted);

const context: Context = {
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  stdin: process.stdin,
  env,
  signal: controller.signal,
  engine: realEngine,
  version: packageVersion(),
};
setLogSink((level, message) => {
  if (level !== 'debug') context.stderr.write(`${message}\n`);
});
process.exitCode = await runCli(process.argv.slice(2), context);
process.stdin.unref?.();
