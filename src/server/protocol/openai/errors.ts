// Errors as the OpenAI API writes them. https://platform.openai.com/docs/guides/error-codes

import type { Problem, ProblemKind } from '../../problem.ts';

const kinds: Readonly<Record<ProblemKind, readonly [type: string, code: string | null]>> = {
  invalid: ['invalid_request_error', null],
  authentication: ['invalid_request_error', 'invalid_api_key'],
  forbidden: ['invalid_request_error', 'forbidden'],
  not_found: ['invalid_request_error', 'model_not_found'],
  timeout: ['invalid_request_error', 'request_timeout'],
  too_large: ['invalid_request_error', 'request_too_large'],
  context_overflow: ['invalid_request_error', 'context_length_exceeded'],
  too_many: ['rate_limit_error', 'rate_limit_exceeded'],
  overloaded: ['server_error', 'overloaded'],
  internal: ['server_error', 'internal_error'],
};

export function openaiError({ kind, message, param }: Problem): object {
  const [type, code] = kinds[kind];
  // Only a missing model has a code of its own; a missing path has none.
  const known = kind !== 'not_found' || param === 'model';
  return { error: { message, type, param: param ?? null, code: known ? code : 'not_found' } };
}
