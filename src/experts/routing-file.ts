// Routing statistics beside the model: MODEL.routing.json. They are those of one model, told by a hash over its files' headers.

import { existsSync, readFileSync } from 'node:fs';
import { FileFormatError, IngotError } from '../base/errors.ts';
import { writeAtomically } from '../weights/atomic-file.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { expertTensors } from '../weights/experts.ts';
import { isJsonObject, parseJsonObject } from '../weights/json.ts';
import { fingerprint } from '../weights/packed/writer.ts';
import { expertSizes } from './layers.ts';
import { addRouting, checkRouting, type LayerRouting, type RoutingStatistics } from './routing.ts';

export const routingPath = (model: string): string => `${model.replace(/[/\\]+$/, '')}.routing.json`;

/**
 * The statistics beside a model; undefined when there are none. Throws bad_file for damage, and invalid_argument for those of another
 * model.
 */
export async function readRouting(
  model: string,
  checkpoint: Checkpoint,
): Promise<RoutingStatistics | undefined> {
  const path = routingPath(model);
  if (!existsSync(path)) return undefined;
  const raw = parseJsonObject(readFileSync(path), path, 'statistics');
  const { tokens, layers, fingerprint: made } = raw;
  if (typeof tokens !== 'number' || !Array.isArray(layers))
    throw new FileFormatError(path, 'layers', 'must be a list, and tokens a number');
  const statistics = { tokens, layers: layers.map((layer, i) => readLayer(path, layer, i)) };
  try {
    checkRouting(statistics, expertSizes(expertTensors(checkpoint)));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new IngotError('invalid_argument', `${path}: ${why}; remove the file or record them again`, {
      cause,
    });
  }
  if (made !== (await fingerprint(checkpoint)))
    throw new IngotError(
      'invalid_argument',
      `${path}: the routing statistics are of another model than ${checkpoint.path}; remove the file or record them again`,
    );
  return statistics;
}

function readLayer(path: string, raw: unknown, index: number): LayerRouting {
  const field = `layers[${index}]`;
  if (!isJsonObject(raw) || typeof raw.name !== 'string' || !Array.isArray(raw.chosen))
    throw new FileFormatError(path, field, 'must have a name and chosen');
  const chosen = raw.chosen as readonly unknown[];
  const valid = (n: unknown): n is number => typeof n === 'number' && Number.isFinite(n) && n >= 0;
  if (!chosen.every(valid)) throw new FileFormatError(path, `${field}.chosen`, 'must be numbers from 0 up');
  return { name: raw.name, chosen: chosen.filter(valid) };
}

/** Adds to what is recorded, or begins anew where that is of another model. Whole or not at all. */
export async function recordRouting(
  model: string,
  checkpoint: Checkpoint,
  statistics: RoutingStatistics,
): Promise<RoutingStatistics> {
  const before = await readRouting(model, checkpoint).catch((error: unknown) => {
    if (error instanceof IngotError) return undefined;
    throw error;
  });
  const all = before === undefined ? statistics : addRouting(before, statistics);
  const text = JSON.stringify({ version: 1, fingerprint: await fingerprint(checkpoint), ...all });
  await writeAtomically(routingPath(model), (sink) => sink.write(new TextEncoder().encode(text)));
  return all;
}
