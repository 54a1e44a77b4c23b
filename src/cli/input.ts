// What comes on stdin.

import { addAbortSignal, Stream } from 'node:stream';

/** All of it. Rejects when `signal` is aborted: what is piped may never end. */
export async function readAll(stdin: NodeJS.ReadableStream, signal: AbortSignal): Promise<string> {
  let text = '';
  if (stdin instanceof Stream) addAbortSignal(signal, stdin);
  stdin.setEncoding('utf8');
  for await (const part of stdin) text += String(part);
  return text;
}

/** All of it; undefined when stdin is a terminal. */
export const readPiped = async (
  stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean },
  signal: AbortSignal,
): Promise<string | undefined> => (stdin.isTTY === true ? undefined : readAll(stdin, signal));
