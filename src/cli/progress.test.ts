import { expect, test } from 'vitest';
import { createProgress, progressCallbacks } from './progress.ts';

function setup(isTTY: boolean) {
  let time = 0;
  const written: string[] = [];
  const out = { write: (text: string) => void written.push(text), isTTY, columns: 100 };
  return { out, written, now: () => time, wait: (ms: number) => (time += ms) };
}

test('without a terminal: plain lines, at the start, now and then, and at the end', () => {
  const { out, written, now, wait } = setup(false);
  const progress = createProgress(out, { now });
  for (let mb = 0; mb <= 100; mb++) {
    progress.update('Downloading', mb * 1e6, 100e6);
    wait(100);
  }
  progress.finish();
  expect(written).toEqual([
    'Downloading: 0 %, 0 bytes of 100 MB\n',
    'Downloading: 50 %, 50 MB of 100 MB at 10 MB/s, 5 s left\n',
    'Downloading: 100 %, 100 MB of 100 MB at 10 MB/s\n',
  ]);
});

test('a slow rate has digits', () => {
  const { out, written, now, wait } = setup(false);
  const progress = createProgress(out, { now, unit: 'matrices' });
  for (let done = 0; done <= 3; done++) {
    progress.update('Quantising', done, 3);
    wait(20_000);
  }
  expect(written.at(-1)).toBe('Quantising: 100 %, 3 of 3 at 0.050 matrices/s\n');
});

test('what an earlier run downloaded does not count for the rate', () => {
  const { out, written, now, wait } = setup(false);
  const progress = createProgress(out, { now });
  progress.update('Downloading', 90e6, 100e6);
  wait(5000);
  progress.update('Downloading', 95e6, 100e6);
  expect(written[1]).toBe('Downloading: 95 %, 95 MB of 100 MB at 1 MB/s, 5 s left\n');
});

test('on a terminal: one line that is redrawn and taken away, and notices above it', () => {
  const { out, written, now, wait } = setup(true);
  const progress = createProgress(out, { now });
  progress.update('Downloading', 0, 10e6);
  wait(10);
  progress.update('Downloading', 1e6, 10e6);
  wait(1000);
  progress.update('Downloading', 5e6, 10e6);
  progress.notice('waiting');
  progress.finish();
  expect(written).toHaveLength(4);
  expect(written[1]).toBe(
    `\r\u001b[2KDownloading ${'█'.repeat(12)}${'░'.repeat(12)} 5 MB of 10 MB at 4.95 MB/s, 1 s left`,
  );
  expect(written.slice(2)).toEqual(['\r\u001b[2K', 'waiting\n']);
});

test('a quick load shows nothing, a slow one does', () => {
  const { out, written, now, wait } = setup(false);
  const callbacks = progressCallbacks(createProgress(out, { now }), 400, now);
  callbacks.onProgress({ phase: 'load', bytesDone: 1, bytesTotal: 10 });
  wait(300);
  callbacks.onProgress({ phase: 'load', bytesDone: 5, bytesTotal: 10 });
  expect(written).toEqual([]);
  wait(200);
  callbacks.onProgress({ phase: 'load', bytesDone: 9, bytesTotal: 10 });
  expect(written).toEqual(['Loading: 90 %, 9 bytes of 10 bytes\n']);
});
