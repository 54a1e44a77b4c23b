// Which rows the next step has. Every sequence that waits for a token has its row; the room left goes to prompts, in the
// order of their arrival.

import type { Job } from './job.ts';
import type { StepPart } from './runner.ts';

/** Rows of prompts beside the rows of sequences that generate: they get their next token after at most this much more. */
const MIXED_CHUNK = 128;

/** A part of a step, and the generation it belongs to. */
export interface JobPart {
  readonly job: Job;
  readonly part: StepPart;
}

export interface StepRules {
  /** Rows of prompts in a step of nothing else. */
  readonly chunk: number;
  /** A token of a prompt is run with others and a generated one alone, also when it is run again: both round the same then. */
  readonly exact: boolean;
  readonly vocabSize: number;
  /** Number of the step submitted last. */
  readonly lastStep: number;
  /** Makes room for `rows` more positions; false when the generation has to wait. May take it from those not yet placed. */
  readonly extend: (job: Job, rows: number, placed: readonly JobPart[]) => boolean;
  /** Ends a generation that cannot go on. */
  readonly fail: (job: Job, error: unknown) => void;
}

/** The parts of the next step of these generations, given in the order of their arrival; none when all have to wait. */
export function planStep(running: readonly Job[], rules: StepRules): readonly JobPart[] {
  const placed: JobPart[] = [];
  for (const job of running) if (canDecode(job, rules)) place(job, 1, rules, placed);
  let room = placed.length > 0 ? Math.min(MIXED_CHUNK, rules.chunk) : rules.chunk;
  for (const job of running) {
    const rows = prefillRows(job, room, rules);
    if (job.preparing && reachesEnd(job, rows)) continue;
    if (rows > 0 && place(job, rows, rules, placed)) room -= rows;
  }
  return placed;
}

/** Whether the next row is the one after which a token is sampled, and its own token is there or on its way. */
function canDecode(job: Job, { lastStep }: StepRules): boolean {
  if (job.sequence === undefined || job.ended || job.remaining !== 1 || job.sampled === 0) return false;
  if (job.sampled >= job.limit || job.preparing) return false;
  return job.inFlight === 0 || (job.constraint === undefined && job.lastSample?.step === lastStep);
}

/** Rows that are known and not the next to decode: of the prompt, or of tokens that are run again. */
function prefillRows(job: Job, room: number, { exact }: StepRules): number {
  if (job.sequence === undefined || job.ended || job.inFlight > 0) return 0;
  const { remaining, prompt, sequence } = job;
  if (remaining <= 0 || (remaining === 1 && job.sampled > 0)) return 0;
  if (exact && sequence.length >= prompt.length) return Math.min(1, room);
  const left = exact ? prompt.length - sequence.length : remaining;
  const rows = Math.min(left, room);
  // No piece of one row: it would be computed as a decode row is.
  if (left - rows === 1) return rows > 2 ? rows - 1 : 0;
  return rows === 1 && left > 1 ? 0 : rows;
}

/** Whether a token is sampled after these rows. */
const reachesEnd = ({ sequence, prompt, sampled }: Job, rows: number): boolean =>
  (sequence?.length ?? 0) + rows === prompt.length + sampled;

/** Adds the rows to the step; false when the generation has to wait, or has ended over its constraint. */
function place(job: Job, rows: number, rules: StepRules, placed: JobPart[]): boolean {
  const start = job.sequence?.length ?? 0;
  const ends = reachesEnd(job, rows) && job.sampled < job.limit;
  if (!rules.extend(job, rows, placed) || job.sequence === undefined) return false;
  let mask: Int32Array | undefined;
  try {
    if (ends) mask = maskOf(job, rules.vocabSize);
  } catch (error) {
    rules.fail(job, error);
    return false;
  }
  const { settings, biases, penalised } = job.sampling;
  placed.push({
    job,
    part: {
      sequence: job.sequence,
      rows,
      ids:
        job.inFlight > 0 && job.lastSample !== undefined
          ? { from: job.lastSample.index }
          : job.tokens.slice(start, start + rows),
      slot: penalised ? job.slot : undefined,
      context: job.fresh ? job.tokens.slice(0, start) : undefined,
      sample: ends ? { settings, step: job.sampled, top: job.top, biases, mask } : undefined,
    },
  });
  job.fresh = false;
  return true;
}

/** Which tokens may come next; undefined when all may. */
function maskOf({ constraint }: Job, vocabSize: number): Int32Array | undefined {
  if (constraint === undefined) return undefined;
  const mask = new Int32Array(Math.ceil(vocabSize / 32));
  return constraint.fill(mask) ? mask : undefined;
}
