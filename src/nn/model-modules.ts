// The modules of a model of the engine as a tree, by the names of its tensors.

import type { NDArray } from '../array/array.ts';
import { Weight } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { formatLayout } from '../quant/layout.ts';
import { type Layer, Module } from './module.ts';
import { Part } from './part.ts';
import { joinPath } from './tree.ts';

/** A tensor of a model. */
export interface ModelTensor {
  readonly shape: readonly number[];
  /** `f32`, or the layout of a packed matrix, such as `i4g32`. */
  readonly format: string;
  readonly bytes: number;
}

/** Matrices of all experts of a layer, packed together; experts are chosen row by row, so that no module can stand in for them. */
export class ExpertStack extends Module {
  /** `[E, N, K]` */
  readonly weight: Weight;
  /** `[E, N]` */
  readonly bias: NDArray | undefined;

  constructor(weight: Weight, bias: NDArray | undefined) {
    super();
    this.weight = weight;
    this.bias = bias;
  }
}

/** What lies below a name: more names, and parts. */
class Group extends Module {
  readonly #parts = new Map<string, Part>();
  readonly #path: string;

  constructor(path: string) {
    super();
    this.#path = path;
  }

  /** Puts a part or a stack at a path below. */
  add(path: string, module: Part | ExpertStack): void {
    const [first = '', ...rest] = path.split('.');
    const held = this as unknown as Record<string, Module>;
    if (rest.length > 0) {
      held[first] ??= new Group(joinPath(this.#path, first));
      (held[first] as Group).add(rest.join('.'), module);
      return;
    }
    held[first] = module;
    if (module instanceof Part) this.#parts.set(first, module);
  }

  /**
   * Lets another module, from one array to one of the same shapes, stand in for the linear, norm or embedding at `path`, and
   * returns what was there: the next plans have it. Throws not_found, unsupported for a path that is no such part, and
   * invalid_argument for a module without `forward`.
   */
  override replace(path: string, module: Module): Module {
    const [first = '', ...rest] = path.split('.');
    const below = (this as unknown as Record<string, unknown>)[first];
    if (rest.length > 0 && below instanceof Module) return below.replace(rest.join('.'), module);
    const part = this.#parts.get(first);
    const at = joinPath(this.#path, path);
    if (below instanceof Module && part === undefined) {
      throw new IngotError(
        'unsupported',
        `replace: ${at} is no linear, norm or embedding: the model runs it as a whole; replace one of ${this.#near(below)}`,
      );
    }
    if (part !== undefined && typeof (module as { forward?: unknown } | undefined)?.forward !== 'function') {
      throw new IngotError('invalid_argument', `replace: the module for ${at} needs forward(x)`);
    }
    const old = super.replace(path, module);
    part?.use(module as Layer, at);
    return old;
  }

  #near(below: Module): string {
    const names = below.namedModules().flatMap(([path, m]) => (m instanceof Part ? [path] : []));
    return names.length === 0 ? 'the parts beside it' : `${names.slice(0, 4).join(', ')}, … below it`;
  }
}

/**
 * The linears, norms, embeddings and stacks of experts of a loaded model, by the names of its tensors, such as
 * `model.layers.0.self_attn.q_proj`. What a block computes with beside them (sinks, corrections of routers, taps of convolutions,
 * shared spaces of latent attention) is not in it. Its memory belongs to the model.
 */
export class ModelModules extends Group {
  readonly #device: Device;

  constructor(device: Device) {
    super('');
    this.#device = device;
  }

  /** Where the model runs, and the arrays of modules that stand in for its own must be: `setDefaultDevice(modules.device)`. */
  get device(): Device {
    return this.#device;
  }

  /** All tensors by path, packed matrices included, of which `parameters()` has none. */
  tensors(): Readonly<Record<string, ModelTensor>> {
    const found: Record<string, ModelTensor> = {};
    for (const [path, module] of this.namedModules()) {
      const { weight } = module as { weight?: unknown };
      if (!(weight instanceof Weight)) continue;
      const { shape, layout, buffer } = weight;
      found[`${path}.weight`] = { shape, format: formatLayout(layout), bytes: buffer.byteLength };
    }
    for (const [path, x] of Object.entries(this.parameters())) {
      const shape = x.shape.map(Number);
      found[path] = { shape, format: x.dtype, bytes: shape.reduce((n, d) => n * d, 4) };
    }
    return found;
  }

  /** Throws unsupported: the model frees its weights. */
  override dispose(): void {
    throw new IngotError('unsupported', 'the weights belong to the model: dispose that');
  }
}
