// The servers that run on this machine, so that `ingot ps` and `ingot stop` find them: one small file each, which only
// their user can read.

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../base/env.ts';

export interface ServerRecord {
  readonly pid: number;
  readonly url: string;
  /** What /health calls the server: another one may listen at the same address now. */
  readonly instance: string;
  /** Lets these commands in where API keys are asked for. */
  readonly key: string;
}

export const newAccessKey = (): string => randomBytes(32).toString('base64url');

const folderOf = (env: Env): string => join(env.cacheDir, 'servers');
const fileOf = (env: Env, { instance }: ServerRecord): string => join(folderOf(env), `${instance}.json`);

export async function recordServer(env: Env, record: ServerRecord): Promise<void> {
  await mkdir(folderOf(env), { recursive: true, mode: 0o700 });
  await writeFile(fileOf(env, record), JSON.stringify(record), { mode: 0o600 });
}

export const forgetServer = (env: Env, record: ServerRecord): Promise<void> =>
  rm(fileOf(env, record), { force: true });

/** The servers that answer. Files of those that do not exist any more are removed. */
export async function runningServers(env: Env): Promise<ServerRecord[]> {
  const names = await readdir(folderOf(env)).catch(() => []);
  const records = await Promise.all(
    names.filter((name) => name.endsWith('.json')).map((name) => read(env, name)),
  );
  const known = records.filter((record) => record !== undefined);
  const answers = await Promise.all(known.map(isRunning));
  await Promise.all(
    known.filter((record, i) => !answers[i] && !isProcess(record.pid)).map((r) => forgetServer(env, r)),
  );
  return known.filter((_, i) => answers[i]);
}

async function read(env: Env, name: string): Promise<ServerRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(join(folderOf(env), name), 'utf8')) as ServerRecord;
    return typeof record.url === 'string' && Number.isInteger(record.pid) ? record : undefined;
  } catch {
    return undefined;
  }
}

export async function isRunning({ url, instance }: ServerRecord): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) });
    return ((await response.json()) as { instance?: unknown }).instance === instance;
  } catch {
    return false;
  }
}

export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Asks a server; the answer as JSON. Rejects when it does not answer with success. */
export async function askServer(record: ServerRecord, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${record.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${record.key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(`${record.url}${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

/** A model as `ingot ps` shows it. */
export interface ListedModel {
  readonly name: string;
  readonly size: number;
  readonly context_length: number;
  /** Bytes that the KV cache may grow to; an older server does not tell. */
  readonly kv_reserved?: number;
  /** Of experts that are streamed. */
  readonly experts?: {
    readonly requests: number;
    readonly hits: number;
    readonly bytes_read: number;
    /** Of routers' choices, where they may give way to experts in memory. */
    readonly substituted_share?: number;
    /** Tokens per second that the disk allowed in the last answer, and the share of it that was reached. */
    readonly ceiling?: number;
    readonly share_of_ceiling?: number;
  };
  /** Of a cache whose pages may be on disk. */
  readonly kv_spilled?: { readonly bytes_written: number; readonly bytes_read: number };
  readonly expires_at: string;
}

/** What a server has loaded; undefined when it does not say, as one that is ending. */
export async function loadedModels(record: ServerRecord): Promise<readonly ListedModel[] | undefined> {
  try {
    return ((await askServer(record, '/api/ps')) as { models: readonly ListedModel[] }).models;
  } catch {
    return undefined;
  }
}
