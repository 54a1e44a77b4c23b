// Parts of a packed matrix that fit a binding.

import { IngotError } from '../../../base/errors.ts';
import { panelBytes, panelRows, type WeightLayout } from '../../../quant/layout.ts';
import type { GpuCapabilities } from '../contract.ts';

/** Consecutive panels of a matrix, and the part of its buffer that has them. */
export interface PanelWindow {
  readonly first: number;
  readonly panels: number;
  readonly window: { readonly offset: number; readonly byteLength: number };
  /** Where the first panel starts in the window, in units of 16 bytes. */
  readonly base: number;
}

/**
 * Windows over `count` items of `unit` panels each (the panels of one expert, or 1).
 * Throws unsupported when not even one item fits a binding.
 */
export function panelWindows(
  { layout, K, count, unit }: { layout: WeightLayout; K: number; count: number; unit: number },
  { maxBindingBytes, offsetAlignment }: GpuCapabilities,
): readonly PanelWindow[] {
  const bytes = panelBytes(layout, K) * unit;
  const most = Math.floor((maxBindingBytes - offsetAlignment) / bytes);
  const per = count * bytes <= maxBindingBytes ? count : most;
  if (per < 1) {
    throw new IngotError(
      'unsupported',
      `${bytes} bytes of weights have to be bound together, this GPU binds ${maxBindingBytes} at most`,
      { details: { bytes, maxBindingBytes } },
    );
  }
  return Array.from({ length: Math.ceil(count / per) }, (_, i) => {
    const start = i * per * bytes;
    const items = Math.min(per, count - i * per);
    const offset = start - (start % offsetAlignment);
    return {
      first: i * per * unit,
      panels: items * unit,
      window: { offset, byteLength: start - offset + items * bytes },
      base: (start - offset) / 16,
    };
  });
}

export const panelsOf = (N: number): number => Math.ceil(N / panelRows);
