// Notices of the library. Silent unless a sink is set (the CLI sets one); a warning without a sink becomes a process
// warning, so that a library user still learns of it, once.

export type LogLevel = 'debug' | 'info' | 'warn';
export type LogSink = (level: LogLevel, message: string) => void;

let sink: LogSink | undefined;
const warned = new Set<string>();

/** Sends every later message to `next`; undefined makes the library silent again. Returns the sink that was set before. */
export function setLogSink(next: LogSink | undefined): LogSink | undefined {
  const before = sink;
  sink = next;
  return before;
}

/** Passes a message to the sink, if there is one. */
export function log(level: LogLevel, message: string): void {
  sink?.(level, message);
}

/** Warns once per process and `key`: through the sink, else through `process.emitWarning`. */
export function warnOnce(key: string, message: string): void {
  if (warned.has(key)) return;
  warned.add(key);
  if (sink) sink('warn', message);
  else if (typeof process !== 'undefined') process.emitWarning(message, 'IngotWarning');
}

/** Forgets which warnings were given; for tests. */
export function resetWarnings(): void {
  warned.clear();
}
