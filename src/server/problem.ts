// What can be wrong with a request, in one form that every protocol writes in its own words.

import { type ErrorCode, IngotError } from '../base/errors.ts';

export type ProblemKind =
  | 'invalid'
  | 'authentication'
  | 'forbidden'
  | 'not_found'
  | 'timeout'
  | 'too_large'
  | 'context_overflow'
  | 'too_many'
  | 'overloaded'
  | 'internal';

export interface Problem {
  readonly kind: ProblemKind;
  readonly status: number;
  readonly message: string;
  /** The field of the request that is wrong, as a path. */
  readonly param?: string | undefined;
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number | undefined;
  /** What a client can act on, in the words of its API. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

const statuses: Readonly<Record<ProblemKind, number>> = {
  invalid: 400,
  authentication: 401,
  forbidden: 403,
  not_found: 404,
  timeout: 408,
  too_large: 413,
  context_overflow: 400,
  too_many: 429,
  overloaded: 503,
  internal: 500,
};

const codes: Readonly<Record<ProblemKind, ErrorCode>> = {
  invalid: 'invalid_argument',
  authentication: 'invalid_argument',
  forbidden: 'invalid_argument',
  not_found: 'not_found',
  timeout: 'invalid_argument',
  too_large: 'invalid_argument',
  context_overflow: 'context_overflow',
  too_many: 'out_of_memory',
  overloaded: 'out_of_memory',
  internal: 'internal',
};

/** A request that cannot be served, and why. */
export class RequestError extends IngotError {
  override readonly name = 'RequestError';
  readonly problem: Problem;

  constructor(
    kind: ProblemKind,
    message: string,
    more: Partial<Pick<Problem, 'param' | 'retryAfter' | 'details'>> = {},
  ) {
    super(codes[kind], message);
    this.problem = { kind, status: statuses[kind], message, ...more };
  }
}

/** Seconds a client is asked to wait when memory is short: about as long as an answer takes. */
const RETRY_AFTER_MEMORY = 5;

const kindOf: Partial<Readonly<Record<ErrorCode, ProblemKind>>> = {
  invalid_argument: 'invalid',
  shape_mismatch: 'invalid',
  unsupported: 'invalid',
  context_overflow: 'context_overflow',
  not_found: 'not_found',
  out_of_memory: 'overloaded',
  disposed: 'overloaded',
};

/** The problem behind anything that was thrown. What is no IngotError is a bug, and its message stays in the log. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RequestError) return error.problem;
  if (error instanceof IngotError) {
    const kind = kindOf[error.code] ?? 'internal';
    const retryAfter = kind === 'overloaded' ? RETRY_AFTER_MEMORY : undefined;
    return { kind, status: statuses[kind], message: error.message, retryAfter };
  }
  return { kind: 'internal', status: 500, message: 'the server failed on this request; its log says why' };
}
