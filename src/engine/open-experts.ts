// Opens the store of a model's streamed experts: from the file beside the model where there is one, with the experts that routing
// statistics call hot.

import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';
import type { Device } from '../device/device.ts';
import type { ExpertStore, ExpertStoreOptions } from '../experts/contract.ts';
import { type ExpertSizes, expertSizes } from '../experts/layers.ts';
import { type ExpertId, mostChosen, type RoutingStatistics } from '../experts/routing.ts';
import { openExpertStore } from '../experts/store.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { type ExpertTensors, expertTensors } from '../weights/experts.ts';
import { formatDivision } from './division.ts';
import type { MemoryDivision } from './residency.ts';
import type { LoadOptions } from './types.ts';

/** What lies beside a model; undefined for what is not there. */
export interface ExpertFiles {
  /** The experts in blocks. */
  readonly blocks: (checkpoint: Checkpoint) => Promise<readonly ExpertTensors[] | undefined>;
  readonly routing: (checkpoint: Checkpoint) => Promise<RoutingStatistics | undefined>;
  /** What is told when the model is disposed: how soon its experts came back (`ExpertStream.distances`). */
  readonly keepDistances: (checkpoint: Checkpoint) => Promise<(distances: readonly number[]) => void>;
  /** Reads at a time that the disk likes; undefined where that is not known. */
  readonly readers: (
    layers: readonly ExpertTensors[],
    expertsPerToken: number,
  ) => Promise<number | undefined>;
}

interface Opening {
  readonly model: string;
  readonly options: LoadOptions;
  readonly division: MemoryDivision;
  readonly expertsPerToken: number;
  readonly files: ExpertFiles | undefined;
}

/** Throws like `openExpertStore`, and `not_found` when hot experts are asked for and nobody knows them. */
export async function openExperts(
  device: Device,
  checkpoint: Checkpoint,
  opening: Opening,
): Promise<ExpertStore> {
  checkLossy(device, opening.options);
  const layers = (await opening.files?.blocks(checkpoint)) ?? expertTensors(checkpoint);
  // What is measured are reads past the page cache, as only the CPU device makes them.
  const measured = device.memory === 'separate' ? undefined : opening.files?.readers;
  const { eviction, readers = await measured?.(layers, opening.expertsPerToken) } =
    opening.options.experts ?? {};
  const store = openExpertStore(device, layers, {
    bytes: opening.division.experts,
    eviction,
    readers,
    ...(await hotExperts(checkpoint, expertSizes(layers), opening)),
  });
  await store.ready;
  return store;
}

/** Throws unsupported where choices cannot give way. */
function checkLossy(
  device: Device,
  { experts: { preferResident = 0, dropMisses = 0 } = {} }: LoadOptions,
): void {
  if (preferResident + dropMisses === 0 || device.supports('moe_reroute', [])) return;
  const argument = preferResident > 0 ? 'preferResident' : 'dropMisses';
  throw new IngotError(
    'unsupported',
    `experts.${argument} is for the CPU, not for ${device.name}: leave it out`,
    {
      details: { argument },
    },
  );
}

async function hotExperts(
  checkpoint: Checkpoint,
  sizes: readonly ExpertSizes[],
  { model, options, division, expertsPerToken, files }: Opening,
): Promise<Pick<ExpertStoreOptions, 'hot' | 'prior'>> {
  const { hot = 0, eviction } = options.experts ?? {};
  if (hot === 0 && eviction !== 'frequency') return {};
  const statistics = await files?.routing(checkpoint);
  if (statistics === undefined) {
    if (hot === 0) return {};
    throw new IngotError(
      'not_found',
      `there are no routing statistics of ${model}, so nobody knows which experts are hot: \`ingot stats ${model} --text FILE\` records some`,
    );
  }
  return {
    hot: hotThatFit(statistics, sizes, { share: hot, bytes: division.experts, expertsPerToken }),
    prior: statistics.layers.map(({ chosen }) => chosen),
  };
}

/**
 * The most chosen experts up to a share of all. Layers with blocks of one size share their slots, and in each such group one layer's
 * choice keeps room beside them.
 */
export function hotThatFit(
  statistics: RoutingStatistics,
  sizes: readonly ExpertSizes[],
  {
    share,
    bytes,
    expertsPerToken,
  }: { readonly share: number; readonly bytes: number; readonly expertsPerToken: number },
): readonly ExpertId[] {
  const experts = sizes.reduce((sum, layer) => sum + layer.experts, 0);
  const all = sizes.reduce((sum, layer) => sum + layer.experts * layer.blockBytes, 0);
  const room = new Map<number, number>();
  for (const { experts: n, blockBytes } of sizes)
    room.set(blockBytes, (room.get(blockBytes) ?? 0) + (n * Math.min(bytes, all)) / all);
  for (const [block, slots] of room) room.set(block, Math.floor(slots + 1e-9) - expertsPerToken);
  const hot: ExpertId[] = [];
  for (const id of mostChosen(statistics, experts)) {
    const block = sizes[id.layer]?.blockBytes ?? 0;
    const left = room.get(block) ?? 0;
    if (hot.length >= Math.round(share * experts)) break;
    if (left <= 0) continue;
    room.set(block, left - 1);
    hot.push(id);
  }
  return hot;
}

/** Says how memory is divided when experts are streamed or a limit was given, and that a budget is too small to help. */
export function tellDivision(
  division: MemoryDivision,
  { onNotice, memoryLimit }: Pick<LoadOptions, 'onNotice' | 'memoryLimit'>,
): void {
  const { streamed, experts, cycle } = division;
  if (!streamed && memoryLimit === undefined) return;
  onNotice?.(formatDivision(division));
  if (streamed && experts < cycle) {
    onNotice?.(
      `${formatBytes(experts)} for experts are less than the ${formatBytes(cycle)} that one token uses: none is still there when it is chosen again`,
    );
  }
}
