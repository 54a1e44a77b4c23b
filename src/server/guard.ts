// Who may ask: API keys, and pages in browsers. A server on this machine can be reached by any page its owner visits, so
// pages of other origins are refused unless the operator names them, and so are names that only pretend to be this machine.

import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from './problem.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares with every key, and each in the same time, so that neither content nor number can be measured. */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest);
  }

  /** Throws RequestError when keys are needed and none of them was sent, as `Authorization: Bearer` or `x-api-key`. */
  check(headers: Headers): void {
    if (this.#digests.length === 0) return;
    const sent = bearerOf(headers.get('authorization')) ?? headers.get('x-api-key');
    if (sent === null) {
      throw new RequestError(
        'authentication',
        'an API key is needed: send it as "Authorization: Bearer KEY" or "x-api-key: KEY"',
      );
    }
    const given = digest(sent);
    let found = false;
    for (const known of this.#digests) found = timingSafeEqual(known, given) || found;
    if (!found) throw new RequestError('authentication', 'the API key is not valid');
  }
}

const bearerOf = (header: string | null): string | undefined => /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];

export interface OriginRules {
  /** Origins whose pages may call, such as `https://app.example`; `*` for all. */
  readonly origins: readonly string[];
  /** Listening on this machine only: `Host` must then be a name of it, or one of `hosts`. */
  readonly loopback: boolean;
  readonly hosts: readonly string[];
}

const local = /^(localhost|[\w-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

/** Throws RequestError for a page or a host name that may not. */
export function checkOrigin({ headers, url }: Request, rules: OriginRules): void {
  // What came over a socket has the header; a Request made in this process may not.
  const host = headers.get('host') ?? new URL(url).host;
  const name = host.replace(/:\d+$/, '');
  if (rules.loopback && !local.test(name) && !rules.hosts.includes(name)) {
    throw new RequestError(
      'forbidden',
      `the host name "${name}" is not this machine's; --allow-host admits it`,
    );
  }
  const origin = headers.get('origin');
  if (
    origin === null ||
    isAllowed(origin, rules) ||
    origin === `http://${host}` ||
    origin === `https://${host}`
  )
    return;
  throw new RequestError('forbidden', `pages of ${origin} may not use this server; --cors admits them`);
}

const isAllowed = (origin: string, { origins }: OriginRules): boolean =>
  origins.includes('*') || origins.includes(origin);

/** CORS headers for a page of `origin`; none unless it was named. */
export const corsHeaders = (origin: string | null, rules: OriginRules): Record<string, string> =>
  origin === null || !isAllowed(origin, rules)
    ? {}
    : {
        'access-control-allow-origin': origin,
        'access-control-allow-headers': '*, authorization',
        'access-control-allow-methods': 'GET, POST, OPTIONS',
        'access-control-expose-headers': 'x-request-id, request-id, retry-after',
        vary: 'origin',
      };
