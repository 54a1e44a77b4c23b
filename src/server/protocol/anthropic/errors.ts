// Errors as the Anthropic API writes them. https://docs.anthropic.com/en/api/errors

import type { Problem, ProblemKind } from '../../problem.ts';

const types: Readonly<Record<ProblemKind, string>> = {
  invalid: 'invalid_request_error',
  authentication: 'authentication_error',
  forbidden: 'permission_error',
  not_found: 'not_found_error',
  timeout: 'timeout_error',
  too_large: 'request_too_large',
  context_overflow: 'invalid_request_error',
  too_many: 'rate_limit_error',
  overloaded: 'overloaded_error',
  internal: 'api_error',
};

/** Coding agents look for "prompt is too long" before they shorten a conversation. */
export const anthropicError = ({ kind, message, details }: Problem, requestId: string): object => ({
  type: 'error',
  error: {
    type: types[kind],
    message: kind === 'context_overflow' ? `prompt is too long: ${message}` : message,
    ...(details === undefined ? {} : { details }),
  },
  request_id: requestId,
});
