// The result of one case as a JSON line, and as rows of a table for people.

import { significant } from '../src/base/statistics.ts';

/** One line of bench/results/*.jsonl. Rates are tokens per second, medians over the runs. */
export interface BenchResult {
  readonly case: string;
  readonly model: string;
  readonly tokensPerSecond: number;
  readonly spread: { readonly min: number; readonly max: number };
  readonly runs: number;
  readonly peer?: {
    readonly name: string;
    readonly version: string;
    readonly tokensPerSecond: number;
    readonly spread: { readonly min: number; readonly max: number };
    readonly settings: Readonly<Record<string, unknown>>;
  };
  /** Ours / the peer's. */
  readonly ratio?: number;
  readonly bandwidthGBs: number;
  readonly int8Tops?: number;
  /** On a GPU: the peak of f16 matrix instructions. */
  readonly matrixTflops?: number;
  /** tokensPerSecond / the rate at which bandwidth (decode) or the arithmetic peak (prefill) is used up. */
  readonly shareOfLimit: number;
  /** The processor, or the GPU when `level` is webgpu. */
  readonly cpu: string;
  readonly threads: number;
  readonly level: string;
  readonly precision: string;
  /** CPUs that other processes kept busy during the runs, median; above 0.05 the numbers are disturbed. */
  readonly otherCpus: number;
  readonly version: string;
  readonly node: string;
  readonly date: string;
}

const columns = ['case', 'model', 'ingot tok/s', 'peer tok/s', 'ratio', 'of the limit'] as const;

const range = (median: number, spread: { min: number; max: number }): string =>
  `${significant(median)} (${significant(spread.min, 3)}-${significant(spread.max, 3)})`;

function cells(r: BenchResult): string[] {
  return [
    r.case,
    r.model,
    range(r.tokensPerSecond, r.spread),
    r.peer ? range(r.peer.tokensPerSecond, r.peer.spread) : '-',
    r.ratio === undefined ? '-' : `${r.ratio.toFixed(2)}x`,
    `${(100 * r.shareOfLimit).toFixed(0)} %`,
  ];
}

const peakOf = (r: BenchResult): string =>
  r.int8Tops === undefined ? `${r.matrixTflops ?? 0} f16 TFLOPS` : `${r.int8Tops} int8 TOPS`;

/** Aligned table of all results with the machine below it. */
export function table(results: readonly BenchResult[]): string {
  const rows = [[...columns], ...results.map(cells)];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const last = results.at(-1);
  if (last) {
    const peer = last.peer ? `, peer ${last.peer.name} ${last.peer.version}` : '';
    lines.push(
      `${last.cpu}, ${last.threads} threads, ${last.level}, ${last.bandwidthGBs} GB/s, ${peakOf(last)}${peer}`,
    );
  }
  return lines.join('\n');
}
