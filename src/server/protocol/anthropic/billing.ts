// A coding agent of that vendor puts a line for its billing first in the system prompt, with a hash that changes on every
// request. No model gains from it, and a prompt that starts differently each time shares no prefix with the one before.

const line = /^x-anthropic-billing-header:[^\n]*(?:\n+|$)/gim;

/** `text` without billing lines; empty when there was nothing else. */
export const withoutBillingHeader = (text: string): string =>
  text.includes('x-anthropic-billing-header') ? text.replace(line, '') : text;
