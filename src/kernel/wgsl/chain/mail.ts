// How phases of one dispatch hand results to each other: every number is a word of memory that is zero until it is sent, so
// a reader waits for the number itself and needs no barrier between workgroups. Each word is written once a run.
//
// This needs workgroups that run at the same time, which WebGPU does not promise: chains run only where their number of workgroups was
// measured to work, and a reader that waits for too long fails the run.

import { fail, statusBytes } from '../status.ts';

/** Words of the status buffer before the mail; the words behind are cleared with it before every run. */
export const mailStart = statusBytes / 4;

/** Reads of one number before a run fails: about a second. */
const patience = 2 ** 20;

/**
 * `mail_send(at, value)`; `mail_read(at)`, which notes that a number has not come yet; `mail_again()`: whether reads since the last
 * `mail_again` have to be repeated. Numbers are sent inverted: the one pattern that would be zero is that of a NaN.
 */
export const mailFunctions = `var<private> mail_missing: bool;
var<private> mail_patience: u32;
/** Different in each workgroup. */
var<private> mail_pick: u32;
fn mail_send(at: u32, value: f32) {
  let word = ~bitcast<u32>(value);
  atomicStore(&status[at], select(word, 0x803fffffu, word == 0u));
}
fn mail_read(at: u32) -> f32 {
  let word = atomicLoad(&status[at]);
  mail_missing = mail_missing || word == 0u;
  return bitcast<f32>(~word);
}
fn mail_again() -> bool {
  let missing = mail_missing && mail_patience > 0u;
  mail_missing = false;
  if (!missing) { return false; }
  mail_patience -= 1u;
  if (mail_patience == 0u) { ${fail('chain_stalled', '0')} }
  return mail_patience > 0u;
}
`;

/** Statement that a chain begins with. */
export const mailStatement = `mail_patience = ${patience}u;
  mail_pick = wg.x;`;
