// How busy the machine is with other work, so that a disturbed measurement is seen as one. Linux only; elsewhere 0.

import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';

const ticksPerSecond = 100; // USER_HZ, fixed in the kernel's interface

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** CPU seconds that process `pid` has used, user and system, all threads. 0 where /proc is missing. */
export function processCpuSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name in parentheses may hold spaces; fields 14 and 15 are utime and stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/** CPU seconds that all processes have used since boot, and that the hypervisor took. */
export function busySeconds(stat = read('/proc/stat')): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (stat.split('\n')[0] ?? '')
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

/** Measures the CPUs that others kept busy between the call and `stop()`; `own` sums the CPU seconds of the contestants. */
export function watchOthers(own: () => number): { stop(): number } {
  const [start, busy, mine] = [performance.now(), busySeconds(), own()];
  return {
    stop() {
      const others = busySeconds() - busy - (own() - mine);
      return Math.max(0, others / ((performance.now() - start) / 1000));
    },
  };
}

/** A warning when the machine was already busy before the benchmark began; undefined when it was quiet. */
export function loadWarning(): string | undefined {
  const load = loadavg()[0] ?? 0;
  const cores = availableParallelism();
  if (load < 0.3 * cores) return undefined;
  return `load average is ${load.toFixed(2)} on ${cores} cores: other work is running, numbers will be too low`;
}
