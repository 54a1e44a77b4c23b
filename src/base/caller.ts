// Where an error was caused: the line outside of this package that called into it.

const here = import.meta.url;
/** The folder of the package's code, or the file that all of it is bundled into. */
const inside = /^(.*\/(?:src|dist)\/)/.exec(here)?.[1] ?? here;
const path = inside.replace(/^file:\/\//, '');

const isOutside = (frame: string): boolean =>
  !frame.includes(inside) &&
  !frame.includes(path) &&
  !/node:|node_modules|<anonymous>|\(native\)/.test(frame);

/**
 * Puts the caller's frame before those of the package in the stack of an error, and returns its `file:line:column`. Does nothing,
 * and returns undefined, where stacks are not as V8 writes them or nobody outside called.
 */
export function pointAtCaller(error: Error): string | undefined {
  if (Error.captureStackTrace === undefined) return undefined;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60; // gradients and maps over batches are deep
  Error.captureStackTrace(error, error.constructor as () => void);
  Error.stackTraceLimit = limit;
  const lines = (error.stack ?? '').split('\n');
  const frames = lines.filter((line) => /^\s+at /.test(line));
  const caller = frames.find(isOutside);
  if (caller === undefined) return undefined;
  const head = lines.slice(0, lines.indexOf(frames[0] as string));
  error.stack = [...head, caller, ...frames.filter((f) => f !== caller).slice(0, limit)].join('\n');
  return /\(?((?:file:\/\/|\/|[a-z]+:\/\/|[A-Z]:\\)[^()\s]*:\d+:\d+)\)?$/.exec(caller)?.[1];
}
