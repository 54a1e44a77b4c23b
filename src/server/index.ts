// Entry `ingot/server`: the APIs of `ingot serve` in a process of one's own, on a socket or as a function from Request to Response.

export type { Log, LogRecord } from './exchange.ts';
export type { LibraryOptions } from './library.ts';
export type { Limits } from './limits.ts';
export {
  createServerApp,
  type RunningServer,
  type ServerApp,
  type ServerOptions,
  startServer,
} from './server.ts';
