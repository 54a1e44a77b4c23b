// Fusion: rewrites of the graph into fewer, larger ops, each pattern in its own file.

import type { Device } from '../../../device/device.ts';
import type { Graph } from '../node.ts';

export function fuse(graph: Graph, _device: Device): Graph {
  return graph;
}
