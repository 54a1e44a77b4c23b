// Which layers attend within a sliding window, and other choices that a config makes layer by layer.

import { type ConfigReader, limits } from './reader.ts';

export type LayerType = 'full_attention' | 'sliding_attention';

/** `layer_types`, or else what `fallback` says of each layer. Throws bad_file when they do not fit the layers. */
export function readLayerTypes(
  reader: ConfigReader,
  numLayers: number,
  fallback: (layer: number) => LayerType,
): readonly LayerType[] {
  const types = reader.strings('layer_types', limits.layers.max);
  if (types === undefined) return Array.from({ length: numLayers }, (_, i) => fallback(i));
  if (types.length !== numLayers)
    reader.fail('layer_types', `has ${types.length} entries for ${numLayers} layers`);
  return types.map((type) =>
    type === 'full_attention' || type === 'sliding_attention'
      ? type
      : reader.unsupported(
          'layer_types',
          `unknown kind of layer "${type}"; supported are full_attention, sliding_attention`,
        ),
  );
}

/** Every `sliding_window_pattern`-th layer attends to everything, the others to a window. */
export function readPattern(reader: ConfigReader, fallback: number): (layer: number) => LayerType {
  const every = reader.int('sliding_window_pattern', { min: 1, max: limits.layers.max }, fallback);
  return (i) => ((i + 1) % every === 0 ? 'full_attention' : 'sliding_attention');
}

/** The windows of layers of these types. Throws bad_file when one is asked for and `window` is not set. */
export const windowsOf = (
  reader: ConfigReader,
  types: readonly LayerType[],
  window: number | undefined,
): readonly (number | undefined)[] =>
  types.map((type) =>
    type === 'full_attention'
      ? undefined
      : (window ?? reader.fail('layer_types', 'asks for sliding attention but sliding_window is not set')),
  );

/** Throws unsupported for a model that is no decoder any more. */
export function refuseBidirectional(reader: ConfigReader): void {
  if (reader.boolean('use_bidirectional_attention', false))
    reader.unsupported('use_bidirectional_attention', 'attention to later tokens is not supported');
}

/** `sliding_window`; `fallback` where it is absent, undefined where it is null. */
export const readWindow = (reader: ConfigReader, fallback?: number): number | undefined =>
  reader.stated('sliding_window') ? reader.optionalInt('sliding_window', limits.contextLength) : fallback;

/** The windows of Qwen2 and 3: only with `use_sliding_window`, by `layer_types` or from layer `max_window_layers` on. */
export function readWindows(reader: ConfigReader, numLayers: number): readonly (number | undefined)[] {
  const used = reader.boolean('use_sliding_window', false);
  const window = used ? readWindow(reader, 4096) : undefined;
  const first = reader.int('max_window_layers', { min: 0, max: limits.layers.max }, 28);
  const types = readLayerTypes(reader, numLayers, (i) =>
    i >= first && window !== undefined ? 'sliding_attention' : 'full_attention',
  );
  // transformers ignores the types where windows are switched off.
  return used || !reader.has('use_sliding_window')
    ? windowsOf(reader, types, window)
    : types.map(() => undefined);
}
