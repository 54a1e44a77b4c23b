// Progress on stderr: a bar on a terminal, a line now and then elsewhere.

import { formatBytes, formatDuration } from '../base/text.ts';
import type { Output } from './context.ts';

export interface Progress {
  /** `done` of `total` in bytes, or in the unit that was given. */
  update(label: string, done: number, total: number): void;
  /** A line that stays. */
  notice(text: string): void;
  /** Takes the bar away; lines stay. */
  finish(): void;
}

export interface ProgressOptions {
  readonly unit?: 'bytes' | 'tokens' | 'kernels' | 'prompts' | 'matrices';
  readonly now?: () => number;
}

const redrawMs = 80;
const lineMs = 5000;
const barWidth = 24;

/** Rate since the label last changed; what an earlier run had done already does not count. */
class Meter {
  #label = '';
  #start = 0;
  #startDone = 0;

  measure(label: string, done: number, now: number): number {
    if (label !== this.#label || done < this.#startDone) {
      this.#label = label;
      this.#start = now;
      this.#startDone = done;
    }
    const seconds = (now - this.#start) / 1000;
    return seconds > 0 ? (done - this.#startDone) / seconds : 0;
  }
}

/** Progress for `out`. */
export function createProgress(out: Output, options: ProgressOptions = {}): Progress {
  const { unit = 'bytes', now = () => performance.now() } = options;
  const amount = (n: number) => (unit === 'bytes' ? formatBytes(n) : String(Math.round(n)));
  const meter = new Meter();
  let drawn = false;
  let last = Number.NEGATIVE_INFINITY;
  let lastLabel = '';
  const clear = () => {
    if (drawn) out.write('\r\u001b[2K');
    drawn = false;
  };
  return {
    update(label, done, total) {
      const time = now();
      const rate = meter.measure(label, done, time);
      const due = label !== lastLabel || done >= total || time - last >= (out.isTTY ? redrawMs : lineMs);
      if (!due) return;
      last = time;
      lastLabel = label;
      const share = total > 0 ? Math.min(1, done / total) : 0;
      const left = rate > 0 && done < total ? `, ${formatDuration((total - done) / rate)} left` : '';
      const pace = unit === 'bytes' || rate >= 10 ? amount(rate) : rate.toPrecision(2);
      const speed = rate > 0 ? ` at ${pace}${unit === 'bytes' ? '' : ` ${unit}`}/s` : '';
      const text = `${amount(done)} of ${amount(total)}${speed}${left}`;
      if (!out.isTTY) {
        out.write(`${label}: ${Math.floor(share * 100)} %, ${text}\n`);
        return;
      }
      const filled = Math.round(share * barWidth);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
      out.write(`\r\u001b[2K${`${label} ${bar} ${text}`.slice(0, Math.max(20, out.columns - 1))}`);
      drawn = true;
    },
    notice(text) {
      clear();
      out.write(`${text}\n`);
    },
    finish: clear,
  };
}

const labels = { download: 'Downloading', load: 'Loading' } as const;

/** The callbacks that `load`, `resolveModel` and `packModel` take, shown on `progress`. Loading is shown only when it takes a while. */
export function progressCallbacks(progress: Progress, quietLoadMs = 400, now = () => performance.now()) {
  let loadStart: number | undefined;
  return {
    onProgress: (p: { phase: 'download' | 'load'; bytesDone: number; bytesTotal: number }) => {
      if (p.phase === 'load') {
        loadStart ??= now();
        if (now() - loadStart < quietLoadMs) return;
      }
      progress.update(labels[p.phase], p.bytesDone, p.bytesTotal);
    },
    onNotice: (text: string) => progress.notice(text),
  };
}
