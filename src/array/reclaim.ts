// Arrays that nobody disposed go with the garbage collector, which sees small handles and not the buffers behind them. When many
// handles have piled up since the last time, evaluation asks for a collection and lets finalizers run, so that loops do not grow.

import { collectGarbage } from '../base/collect.ts';
import { nextTurn } from '../base/turn.ts';

/** Handles that may pile up: a collection takes milliseconds, so it comes after hundreds of milliseconds of small evaluations. */
const patience = 32768;

let live = 0;
let limit = patience;

/** A handle is there. */
export const countHandle = (): void => {
  live++;
};
/** A handle is gone: disposed, or finalized. */
export const dropHandle = (): void => {
  live--;
};

/** Whether it is time to reclaim(). */
export const isCrowded = (): boolean => live > limit;

/** Collects handles without users. Those that are in use stay, and the next time comes when they are twice as many. */
export async function reclaim(): Promise<void> {
  limit = Number.POSITIVE_INFINITY; // one at a time
  const before = live;
  collectGarbage();
  // finalizers are tasks of later turns
  for (let turn = 0; turn < 4 && live >= before; turn++) await nextTurn();
  limit = Math.max(patience, 2 * live);
}
