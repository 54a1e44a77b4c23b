// tile: elementwise programs. A thread computes four neighbouring elements, so that loads and stores are whole vectors; the
// time is that of the bytes of inputs and outputs over the memory's bandwidth.

import { bytesPerElement, type DType } from '../../base/dtype.ts';
import { IngotError, invariant } from '../../base/errors.ts';
import { registerKind } from '../expr.ts';
import type { BufferPlace, ParamPlace } from '../signature.ts';
import { decodeTileProgram } from '../tile-decode.ts';
import type { RegisterKind } from '../tile-opcodes.ts';
import type { TileLayout } from '../tile-program.ts';
import { groupIndex } from './common.ts';
import {
  type GpuBinding,
  type GpuKernel,
  type GpuKernelPlan,
  type GpuPass,
  grid,
  type KernelRequest,
} from './contract.ts';
import { emitFunction, valueType, withFunctions } from './emit.ts';
import { isMultiple } from './params.ts';
import { packQuad, perWord, quadArray } from './storage.ts';
import {
  accessOf,
  inputBinding,
  inputFunctions,
  loadInput,
  pieceWindow,
  type TileInput,
} from './tile-inputs.ts';

const threads = 256;

/** Windows of bindings start at multiples of this many elements: 256 bytes of the shortest. */
const pieceUnit = 256;

export const tileKernel: GpuKernel<'tile'> = {
  name: 'tile',
  plan(request) {
    const tile = new Tile(request);
    return tile.plan();
  },
};

/** The place of an operand that the decoded program has. */
function placeOf(buffer: BufferPlace | undefined): BufferPlace {
  invariant(buffer !== undefined, 'a tile program has more operands than buffers');
  return buffer;
}

class Tile {
  readonly #request: KernelRequest<'tile'>;
  readonly #layout: TileLayout;
  readonly #constants: readonly ParamPlace[];
  readonly #program;
  /** Elements at capacity. */
  readonly #capacity: number;

  constructor(request: KernelRequest<'tile'>) {
    const { program, layout, constantParams } = decodeTileProgram(request.params);
    this.#request = request;
    this.#program = program;
    this.#layout = layout;
    this.#constants = constantParams;
    const [dtype = 'f32'] = layout.outputs;
    const [first] = request.b.outputs;
    this.#capacity = (first === undefined ? 0 : request.bytesOf(first.y)) / bytesPerElement(dtype);
  }

  plan(): GpuKernelPlan {
    const inputs = this.#layout.inputs.map(
      ({ dtype, strides }, i): TileInput => ({
        dtype,
        strides,
        access: accessOf(this.#layout.sizes, strides),
        from: { buffer: placeOf(this.#request.b.inputs[i]?.x) },
      }),
    );
    // More buffers than a pass binds: inputs are first laid side by side in scratch memory.
    const room = this.#request.caps.maxStorageBuffers - this.#layout.outputs.length;
    if (inputs.length <= room) return { variants: [{ passes: this.#pieces(inputs) }] };
    const staged = Math.min(inputs.length - room + 1, this.#request.caps.maxStorageBuffers - 1);
    if (inputs.length - staged + 1 > room) {
      throw new IngotError(
        'unsupported',
        `an elementwise program of ${inputs.length} arrays: this GPU takes ${staged + room - 1} at most; compute it in parts`,
      );
    }
    const rest = inputs.map(
      (input, i): TileInput => (i < staged ? { ...input, from: { staged: i } } : input),
    );
    return {
      variants: [{ passes: [this.#stage(inputs.slice(0, staged)), ...this.#pieces(rest, staged)] }],
      scratch: [staged * 16 * Math.ceil(this.#capacity / 4)],
    };
  }

  /** The program over pieces of the arrays that fit a binding: one, unless they are huge. */
  #pieces(inputs: readonly TileInput[], staged = 0): readonly GpuPass[] {
    const widest = Math.max(
      ...this.#layout.outputs.map(bytesPerElement),
      ...inputs.map((i) => bytesPerElement(i.dtype)),
    );
    const most = Math.floor(this.#request.caps.maxBindingBytes / widest / pieceUnit) * pieceUnit;
    const length = staged > 0 ? this.#capacity : Math.min(most, this.#capacity);
    const passes: GpuPass[] = [];
    for (let start = 0; start < this.#capacity; start += length) {
      passes.push(this.#pass(inputs, start, Math.min(length, this.#capacity - start), staged));
    }
    return passes;
  }

  #pass(inputs: readonly TileInput[], start: number, length: number, staged: number): GpuPass {
    const { outputs, count } = this.#layout;
    const units = this.#units();
    const program = emitFunction(this.#program, {
      scalar: (c, i) => this.#constant(c.kind, this.#constants[i]),
    });
    const stores = outputs.map((dtype, o) => {
      const value = outputs.length === 1 ? 'y' : `y.r${o}`;
      return { whole: `y${o}[q] = ${packQuad(dtype, value)};`, part: storePart(dtype, o, value) };
    });
    const whole = stores.map((s) => s.whole).join(' ');
    const store = isMultiple(count, 4)
      ? whole
      : `if (e + 4u <= count) { ${whole} } else { ${stores.map((s) => s.part).join(' ')} }`;
    const names = inputs.map((_, i) => `v${i}`);
    const types = inputs.map(({ dtype }) => valueType[registerKind(dtype)]);
    const loads = inputs.map(
      (input, i) => `fn load_${i}(q: u32, start: u32, count: u32) -> ${types[i]} {
  let e = q * 4u;
  return ${loadInput(input, i, staged)};
}
`,
    );
    const parameters = names.map((name, i) => `, ${name}: ${types[i]}`).join('');
    const each = (statement: (u: number) => string): string =>
      Array.from({ length: units }, (_, u) => statement(u)).join('');
    // Every load is on its way before the first value is used.
    const body = `${program}${inputFunctions(this.#request, this.#layout.sizes, inputs)}
${loads.join('')}fn finish(q: u32, count: u32${parameters}) {
  let e = q * 4u;
  if (e >= count) { return; }
  let y = program(${names.join(', ')});
  ${store}
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let total = u32(${this.#request.int(this.#request.p.count)});
  let start = min(${start}u, total);
  let count = min(total - start, ${length}u);
  let first = group_index(id, groups) * ${threads * units}u + t;
  if (first * 4u >= count) { return; }
  let last = (count - 1u) / 4u;
${each(
  (u) => `  let q${u} = min(first + ${u * threads}u, last);
${names
  .map(
    (name, i) => `  let ${name}_${u} = load_${i}(q${u}, start, count);
`,
  )
  .join('')}`,
)}${each(
  (u) => `  finish(first + ${u * threads}u, count${names.map((name) => `, ${name}_${u}`).join('')});
`,
)}}
`;
    return {
      name: `tile of ${this.#program.instructions.length}`,
      bindings: [
        ...inputs.flatMap((input, i) => inputBinding(input, i, start, length)),
        ...(staged > 0 ? [stagedBinding('read')] : []),
        ...outputs.map((dtype, o): GpuBinding => {
          const window = pieceWindow(dtype, start, length);
          return {
            buffer: placeOf(this.#request.b.outputs[o]?.y),
            name: `y${o}`,
            type: quadArray(dtype),
            access: 'read_write',
            window,
          };
        }),
      ],
      code: `${groupIndex}${withFunctions(body, 4, outputs)}`,
      groups: this.#request.sized([this.#request.p.count], (n = 0) =>
        grid(Math.ceil(Math.min(Math.max(n - start, 0), length) / (4 * threads * units))),
      ),
    };
  }

  /** Copies registers of inputs to scratch, four elements of each one after the other. */
  #stage(inputs: readonly TileInput[]): GpuPass {
    const stores = inputs.map((input, i) => {
      const value = loadInput(input, i, 0);
      const bits =
        registerKind(input.dtype) === 'bool' ? `select(U(0u), U(1u), ${value})` : `bitcast<U>(${value})`;
      return `  staged[q * ${inputs.length}u + ${i}u] = ${bits};\n`;
    });
    const body = `${inputFunctions(this.#request, this.#layout.sizes, inputs)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let start = 0u;
  let count = u32(${this.#request.int(this.#request.p.count)});
  let q = group_index(id, groups) * ${threads}u + t;
  let e = q * 4u;
  if (e >= count) { return; }
${stores.join('')}}
`;
    const bindings = inputs.flatMap((input, i) => inputBinding(input, i, 0, this.#capacity));
    return {
      name: 'tile inputs',
      bindings: [...bindings, stagedBinding('read_write')],
      code: `${groupIndex}${withFunctions(body, 4)}`,
      groups: this.#request.sized([this.#request.p.count], (n = 0) => grid(Math.ceil(n / (4 * threads)))),
    };
  }

  #constant(kind: RegisterKind, param: ParamPlace | undefined): string {
    invariant(param !== undefined, 'a constant of a tile program has no param');
    if (kind === 'f32') return this.#request.float(param);
    if (kind === 'i32') return this.#request.int(param);
    const bits = this.#request.uint(param);
    return kind === 'bool' ? `${bits} != 0u` : bits;
  }

  /** Fours per thread. */
  #units(): number {
    if (this.#capacity < 1 << 20) return 1;
    const dtypes = [...this.#layout.inputs.map((i) => i.dtype), ...this.#layout.outputs];
    // A thread has 16 bytes of the widest stream on their way: fewer do not fill the memory's pipe.
    const widest = Math.max(...dtypes.map(bytesPerElement));
    const [guess, ...others] =
      widest >= 4 ? ['1', '2', '4'] : widest === 2 ? ['2', '4', '1'] : ['4', '2', '1'];
    return Number(this.#request.choose(`tile ${dtypes.join(' ')}`, [guess, ...others]));
  }
}

/** The elements before `count`; the rest of a word stays as it is. */
function storePart(dtype: DType, o: number, value: string): string {
  const per = perWord(dtype);
  if (per === 1) return `for (var j = 0u; j < count - e; j++) { y${o}[q][j] = ${value}[j]; }`;
  const bits = `(count - e) * ${32 / per}u`;
  const packed = packQuad(dtype, value);
  if (per === 4) return `y${o}[q] = insertBits(y${o}[q], ${packed}, 0u, ${bits});`;
  return `let w${o} = ${packed}; y${o}[q].x = insertBits(y${o}[q].x, w${o}.x, 0u, min(${bits}, 32u)); y${o}[q].y = insertBits(y${o}[q].y, w${o}.y, 0u, max(${bits}, 32u) - 32u);`;
}

const stagedBinding = (access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: 0 },
  name: 'staged',
  type: 'array<vec4<u32>>',
  access,
});
