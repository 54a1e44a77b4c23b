// `ingot serve` as a process of its own, and the numbers it tells about itself.

import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface ServeProcess {
  readonly url: string;
  readonly pid: number;
  /** The gauges of its /metrics by name, without labels: of one model, those of that model. */
  gauges(): Promise<ReadonlyMap<string, number>>;
  stop(): Promise<void>;
}

/**
 * Starts a server of `model` only. `root` is the package's folder with a built `dist`. It is out of reach of the terminal's
 * Ctrl-C: whoever started it ends it, after the clients.
 */
export async function startServe(
  root: string,
  model: string,
  options: readonly string[] = [],
): Promise<ServeProcess> {
  const fixed = ['--port', '0', '--log', 'none', '--no-cached'];
  const args = [join(root, 'dist/cli/main.js'), 'serve', model, ...fixed, ...options];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      const found = /listening on (\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error('the server ended before it listened')));
  });
  return {
    url,
    pid: child.pid ?? 0,
    gauges: async () => gaugesIn(await (await fetch(`${url}/metrics`)).text()),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

const gaugesIn = (text: string): ReadonlyMap<string, number> =>
  new Map(
    [...text.matchAll(/^(\w+)(?:\{[^}]*\})? (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  );

/** Throws when the server does not tell it. */
export function gauge(gauges: ReadonlyMap<string, number>, name: string): number {
  const value = gauges.get(name);
  if (value === undefined) throw new Error(`the server's metrics have no ${name}`);
  return value;
}
