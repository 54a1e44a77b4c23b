// Failures that only the GPU sees: a kernel that meets a wrong index says so in the status words of the run, and the device
// turns them into an error. Word 0 is the number of the failure, word 1 a value that goes into its message.

export const failures = [
  { name: 'gather_index', message: 'gather: an index is outside the axis it picks from' },
  { name: 'embed_id', message: 'embed: a token id is outside the vocabulary' },
  { name: 'expert_id', message: 'moe: an expert id is outside the experts' },
  { name: 'scatter_index', message: 'scatter_add: an index is outside the table' },
  { name: 'count_id', message: 'count: a token id is outside the vocabulary' },
  { name: 'kv_position', message: 'kv_write: a position is outside the cache' },
  { name: 'attention_position', message: 'attention: a position is outside the cache' },
  {
    name: 'chain_stalled',
    message:
      'chain: workgroups that wait for each other do not run at the same time here: set the chain choices of this GPU to "off" (docs/webgpu.md)',
  },
  { name: 'sample_logits', message: 'sample: the logits hold NaN, +infinity, or nothing but -infinity' },
] as const;

export type FailureName = (typeof failures)[number]['name'];

/** Bytes of the status words. */
export const statusBytes = 16;

/** The binding a pass needs to report failures, to put among its bindings. */
export const statusBinding = {
  buffer: 'status',
  name: 'status',
  type: 'array<atomic<u32>>',
  access: 'read_write',
} as const;

/** What status word 0 is then. */
export const failureNumber = (name: FailureName): number => failures.findIndex((f) => f.name === name) + 1;

/** A WGSL statement that reports a failure with the value of an i32 or u32 expression. The first failure of a run counts. */
export function fail(name: FailureName, value: string): string {
  return `if (atomicCompareExchangeWeak(&status[0], 0u, ${failureNumber(name)}u).exchanged) { atomicStore(&status[1], u32(${value})); }`;
}

/** The message of status words, or undefined when they say that all went well. */
export function failureMessage(words: Uint32Array): string | undefined {
  const failure = failures[(words[0] ?? 0) - 1];
  if (failure === undefined) return undefined;
  return `${failure.message} (${(words[1] ?? 0) | 0})`;
}
