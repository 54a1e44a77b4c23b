// Which layers attend within a sliding window: `use_sliding_window`, `layer_types`, `max_window_layers`.

import { type ConfigReader, limits } from './reader.ts';

/** Window of each layer, undefined for full attention. Throws bad_file when `layer_types` does not fit the layers. */
export function readWindows(reader: ConfigReader, numLayers: number): readonly (number | undefined)[] {
  const used = reader.boolean('use_sliding_window', false);
  const window = used ? reader.optionalInt('sliding_window', limits.contextLength) : undefined;
  const types = reader.strings('layer_types', limits.layers.max);
  if (types !== undefined)
    return types.length === numLayers
      ? types.map((type) => windowOf(reader, type, window))
      : reader.fail('layer_types', `has ${types.length} entries for ${numLayers} layers`);
  const firstSliding = reader.int('max_window_layers', { min: 0, max: limits.layers.max }, 28);
  return Array.from({ length: numLayers }, (_, i) => (i >= firstSliding ? window : undefined));
}

function windowOf(reader: ConfigReader, type: string, window: number | undefined): number | undefined {
  switch (type) {
    case 'full_attention':
      return undefined;
    case 'sliding_attention':
      return window ?? reader.fail('layer_types', 'asks for sliding attention but sliding_window is not set');
    default:
      return reader.unsupported(
        'layer_types',
        `unknown kind of layer "${type}"; supported are full_attention, sliding_attention`,
      );
  }
}
