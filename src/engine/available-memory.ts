// How much memory this machine has left.

import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';

/** Bytes this process may still take: the machine's available memory, or what its control group leaves, if less. */
export function availableMemory(): number {
  const available = readNumber('/proc/meminfo', /^MemAvailable:\s+(\d+) kB/m);
  let bytes = available === undefined ? freemem() : available * 1024;
  const limit = readNumber('/sys/fs/cgroup/memory.max', /^(\d+)$/m);
  const used = readNumber('/sys/fs/cgroup/memory.current', /^(\d+)$/m);
  if (limit !== undefined && used !== undefined) bytes = Math.min(bytes, Math.max(0, limit - used));
  return bytes;
}

function readNumber(path: string, pattern: RegExp): number | undefined {
  try {
    const match = pattern.exec(readFileSync(path, 'latin1'));
    return match?.[1] === undefined ? undefined : Number(match[1]);
  } catch {
    return undefined; // not this operating system, or no control group
  }
}
