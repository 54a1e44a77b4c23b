// How much memory this machine has left.

import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';

/** Bytes this process may still take: the machine's available memory, or what its control group leaves, if less. */
export function availableMemory(): number {
  const available = readNumber('/proc/meminfo', /^MemAvailable:\s+(\d+) kB/m);
  let bytes = available === undefined ? freemem() : available * 1024;
  // What this process has already is part of what it plans for.
  const own = 1024 * (readNumber('/proc/self/status', /^RssAnon:\s+(\d+) kB$/m) ?? 0);
  for (const { folder, limit, used } of memoryGroups(readText('/proc/self/cgroup') ?? '')) {
    const [most, now] = [limit, used].map((name) => readNumber(`${folder}/${name}`, /^(\d+)$/m));
    if (most === undefined || now === undefined) continue;
    // Files that were read and are kept in case count as used, but give way.
    const stat = `${folder}/memory.stat`;
    const cached =
      readNumber(stat, /^total_inactive_file (\d+)$/m) ?? readNumber(stat, /^inactive_file (\d+)$/m) ?? 0;
    bytes = Math.min(bytes, most, Math.max(0, most - now + cached + own));
  }
  return bytes;
}

interface MemoryGroup {
  readonly folder: string;
  readonly limit: string;
  readonly used: string;
}

const version1 = { limit: 'memory.limit_in_bytes', used: 'memory.usage_in_bytes' };
const version2 = { limit: 'memory.max', used: 'memory.current' };

/**
 * The control groups whose limits hold for a process, by its /proc/self/cgroup: its own and those above, of either version. Inside a
 * container the root stands for its own group.
 */
export function memoryGroups(text: string): readonly MemoryGroup[] {
  return text.split('\n').flatMap((line) => {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    const whole = id === '0' && controllers === '';
    if (!whole && !controllers.split(',').includes('memory')) return [];
    const root = whole ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory';
    const names = path.split('/').filter(Boolean);
    return Array.from({ length: names.length + 1 }, (_, n) => ({
      folder: [root, ...names.slice(0, n)].join('/'),
      ...(whole ? version2 : version1),
    }));
  });
}

function readNumber(path: string, pattern: RegExp): number | undefined {
  const match = pattern.exec(readText(path) ?? '');
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // not this operating system, or no control group
  }
}
