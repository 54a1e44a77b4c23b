// A group of processes that together may take so much memory, page cache included: a control group of Linux, version 1 or 2.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface MemoryGroup {
  /** What a shell does to become a member, before it starts a program. */
  readonly enter: string;
  /** Highest use so far, page cache included. */
  peakBytes(): number;
  /** Members must have ended. */
  remove(): void;
}

const versions = [
  { root: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
  { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' },
] as const;

/** Undefined where the kernel has no such groups, or this user may not make one. */
export function memoryGroup(bytes: number): MemoryGroup | undefined {
  const version = versions.find(({ root }) => existsSync(join(root, 'cgroup.procs')));
  if (version === undefined) return undefined;
  const folder = join(version.root, `ingot-bench-${process.pid}-${Date.now()}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, version.limit), String(bytes));
  } catch {
    return undefined;
  }
  return {
    enter: `echo $$ > '${join(folder, 'cgroup.procs')}'`,
    peakBytes: () => Number(readFileSync(join(folder, version.peak), 'utf8')),
    remove: () => rmdirSync(folder),
  };
}
