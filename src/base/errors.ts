// Every error a user can meet is an IngotError: a stable code, what was wrong with names and numbers, and what to do.

import { pointAtCaller } from './caller.ts';

export type ErrorCode =
  | 'invalid_argument' // a caller passed something impossible
  | 'shape_mismatch'
  | 'unsupported' // the file or request is valid but needs something this build does not have
  | 'bad_file' // foreign bytes are wrong: truncated, corrupt, hostile
  | 'missing_tensor'
  | 'not_found' // file, model or name does not exist
  | 'context_overflow'
  | 'out_of_memory' // a byte budget or the machine's memory would be exceeded
  | 'download_failed'
  | 'disk_full'
  | 'disposed'
  | 'device_failed'
  | 'device_lost' // the GPU went away with all that was on it
  | 'internal'; // a bug in Ingot

/** What somebody's code asked for: the stack begins with the line that asked, which is also in `details.caller`. */
const byCaller: ReadonlySet<ErrorCode> = new Set(['invalid_argument', 'shape_mismatch', 'disposed']);

/** Base of all errors Ingot throws. `code` is stable and machine readable; `details` holds the numbers named in the message. */
export class IngotError extends Error {
  override readonly name: string = 'IngotError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    const caller = byCaller.has(code) ? pointAtCaller(this) : undefined;
    this.details = caller === undefined ? (options.details ?? {}) : { ...options.details, caller };
  }
}

/** Wrong bytes in a foreign file. Names the file, the field and, where known, the byte offset. */
export class FileFormatError extends IngotError {
  override readonly name = 'FileFormatError';
  constructor(
    file: string,
    field: string,
    problem: string,
    options: { cause?: unknown; offset?: number } = {},
  ) {
    const at = options.offset === undefined ? '' : ` (at byte ${options.offset})`;
    super('bad_file', `${file}: ${field}: ${problem}${at}`, {
      ...(options.cause === undefined ? {} : { cause: options.cause }),
      details: { file, field, offset: options.offset },
    });
  }
}

/** Throws an internal error when a condition the code relies on does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new IngotError('internal', `internal: ${message}`);
}

/** Exhaustiveness guard for switch statements over unions. */
export function unreachable(value: never, what: string): never {
  throw new IngotError('internal', `internal: unexpected ${what}: ${JSON.stringify(value)}`);
}
