// Asks for a garbage collection where that is possible: handles are small, what they hold is not, and the collector does not know.

interface Runtime {
  readonly gc?: () => void;
  readonly process?: { getBuiltinModule?(name: string): unknown };
}

let collect: (() => void) | null | undefined;

/** Collects garbage now; false where the runtime has no way to ask for it. */
export function collectGarbage(): boolean {
  collect ??= collector();
  collect?.();
  return collect !== null;
}

function collector(): (() => void) | null {
  const runtime = globalThis as Runtime;
  if (runtime.gc !== undefined) return runtime.gc;
  const module = runtime.process?.getBuiltinModule;
  if (module === undefined) return null;
  const v8 = module('node:v8') as { setFlagsFromString(flags: string): void };
  const vm = module('node:vm') as { runInNewContext(code: string): unknown };
  v8.setFlagsFromString('--expose-gc');
  const found = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc');
  return typeof found === 'function' ? (found as () => void) : null;
}
