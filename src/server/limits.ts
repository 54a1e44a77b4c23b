// What a server gives to a client at most. Defaults suit a machine that serves a few people and agents.

export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number;
  /** How deep arrays and objects of a body may be nested. */
  readonly jsonDepth: number;
  /** Values in a body: more of them take longer to read than the event loop may stand still. */
  readonly jsonValues: number;
  /** Answers in progress and waiting, over all models; one more is refused with 429. */
  readonly requests: number;
  readonly connections: number;
  /** Milliseconds until the headers, and until the whole request, must have come. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Milliseconds an idle connection is kept for the next request. */
  readonly keepAliveMs: number;
  /** Milliseconds a client may leave a stream unread before it counts as gone. */
  readonly stallMs: number;
  /** Milliseconds of silence in a stream after which a sign of life is sent. */
  readonly heartbeatMs: number;
}

export const defaultLimits: Limits = {
  bodyBytes: 8 * 2 ** 20,
  jsonDepth: 100,
  jsonValues: 200_000,
  requests: 256,
  connections: 1024,
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 15_000,
  stallMs: 60_000,
  heartbeatMs: 15_000,
};
