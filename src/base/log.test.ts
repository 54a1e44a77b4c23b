import { afterEach, expect, test, vi } from 'vitest';
import { log, resetWarnings, setLogSink, warnOnce } from './log.ts';

afterEach(() => {
  setLogSink(undefined);
  resetWarnings();
  vi.restoreAllMocks();
});

test('messages go to the sink and nowhere else', () => {
  const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const seen: string[] = [];
  log('info', 'before');
  setLogSink((level, message) => seen.push(`${level} ${message}`));
  log('info', 'hello');
  warnOnce('k', 'careful');
  warnOnce('k', 'careful');
  expect(seen).toEqual(['info hello', 'warn careful']);
  expect(emit).not.toHaveBeenCalled();
});

test('without a sink a warning becomes one process warning', () => {
  const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  warnOnce('x', 'no addon');
  warnOnce('x', 'no addon');
  expect(emit).toHaveBeenCalledExactlyOnceWith('no addon', 'IngotWarning');
});
