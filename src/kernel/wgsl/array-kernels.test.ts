// The WGSL of array kernels, kept to be read; and what is decided while planning.

import { describe, expect, it } from 'vitest';
import { dtypes } from '../../base/dtype.ts';
import { encodeTileProgram } from '../../testing/tile-params.ts';
import { binary, type Expr, input, scalar, unary } from '../expr.ts';
import type { Param } from '../signature.ts';
import { codeOf, type KernelName, nameOf } from '../signature.ts';
import { decodeTileProgram } from '../tile-decode.ts';
import { buildTileProgram, type TileLayout } from '../tile-program.ts';
import { type GpuCapabilities, KernelRequest, wgslSource } from './contract.ts';
import { emitWgsl, literal } from './emit.ts';
import { findGpuKernel } from './index.ts';

const caps: GpuCapabilities = {
  f16: false,
  subgroups: undefined,
  dot4: false,
  subgroupMatrices: [],
  maxWorkgroupBytes: 16384,
  maxInvocations: 256,
  maxStorageBuffers: 8,
  maxBindingBytes: 128 << 20,
  offsetAlignment: 256,
  vendor: '',
};

function plan(name: KernelName, params: readonly Param[], bytes: readonly number[]) {
  const request = new KernelRequest({ name, params, bytes, caps, scalars: ['n', 's'] });
  const kernel = findGpuKernel(name);
  if (kernel === undefined) throw new RangeError(name);
  return kernel.plan(request);
}

const sources = (...of: Parameters<typeof plan>): string =>
  plan(...of)
    .variants.flatMap((v) => v.passes)
    .map((pass) => `// pass: ${pass.name}\n${wgslSource(pass)}`)
    .join('\n');

const x = input(0, 'f32');
const n: Param = { scalar: 'n', mul: 1, add: 0 };
/** silu(x) * row + s over [n, 64], x f16, the row f32 and broadcast. */
const program = buildTileProgram(
  ['f32', 'f32'],
  [binary('add', binary('mul', unary('silu', x), input(1, 'f32')), scalar('s', 'f32'))],
);
const layout: TileLayout = {
  sizes: [n, 64],
  count: { scalar: 'n', mul: 64, add: 0 },
  inputs: [
    { dtype: 'f16', strides: [64, 1] },
    { dtype: 'f32', strides: [0, 1] },
  ],
  outputs: ['f32'],
};
const tileParams = encodeTileProgram(program, layout);

describe('WGSL of array kernels', () => {
  it.each([
    ['tile', tileParams, [2048, 256, 4096]],
    ['reduce', [1, 100_000, 1, 5, codeOf('dtype', 'f32')], [400_000, 4]],
    ['copy', [2, 2, 5, 7, 1, 5, 7, 1, 0, 3], [70, 76]],
    ['gather', [2, n, 12, 5, 4], [960, 20, 480]],
    ['scatter_add', [n, 8, 100, codeOf('dtype', 'f32')], [320, 40, 3200]],
    ['topk_rows', [n, 10_000, 40, 1], [80_000, 320, 320]],
  ] as const)('%s', async (name, params, bytes) => {
    await expect(sources(name, params, bytes)).toMatchFileSnapshot(`__snapshots__/array/${name}.wgsl`);
  });
  it('a program of its own, for kernels that users write', async () => {
    const code = emitWgsl(buildTileProgram(['f32'], [unary('exp', x), unary('isnan', x)]));
    await expect(code).toMatchFileSnapshot('__snapshots__/array/program.wgsl');
  });
});

describe('what planning decides', () => {
  it('a copy that is one run moves 16 bytes a thread, a transpose goes through squares', () => {
    const run = plan('copy', [2, 1, 64, 32, 32, 1, 32, 1, 0, 0], [2048, 2048]).variants[0]?.passes[0];
    expect(run?.bindings[0]?.type).toBe('array<vec4<u32>>');
    expect(run?.groups).toBeTypeOf('function');
    const turned = plan('copy', [2, 4, 64, 32, 1, 64, 32, 1, 0, 0], [8192, 8192]).variants[0]?.passes[0];
    expect(turned?.name).toBe('copy transposed');
  });
  it('rows of a reduction are shared by workgroups only when they are few', () => {
    const passes = (outer: number, D: number): number =>
      plan('reduce', [outer, D, 1, 0, codeOf('dtype', 'f32')], [outer * D * 4, outer * 4]).variants[0]?.passes
        .length ?? 0;
    expect([passes(1, 1 << 20), passes(4096, 4096), passes(3, 100)]).toEqual([2, 1, 1]);
  });
  const sumOf = (n: number) => {
    const inputs = Array.from({ length: n }, () => 'f32' as const);
    const sum = inputs.map((kind, i): Expr => input(i, kind)).reduce((a, b) => binary('add', a, b));
    const wide = {
      sizes: [100],
      count: 100,
      inputs: inputs.map((dtype) => ({ dtype, strides: [1] })),
      outputs: ['f32'] as const,
    };
    const params = encodeTileProgram(buildTileProgram(inputs, [sum]), wide);
    return plan('tile', params, new Array(n + 1).fill(400)).variants[0]?.passes ?? [];
  };
  it('a tile of more inputs than a pass binds gets a pass that lays them side by side', () => {
    for (const n of [8, 12, 13]) expect(sumOf(n).map((p) => p.bindings.length <= 8)).toEqual([true, true]);
    expect(() => sumOf(14)).toThrow(/14 arrays: this GPU takes 13 at most/);
  });
});

describe('tile programs read back', () => {
  it('the block decodes to the program and the layout it was made of', () => {
    const decoded = decodeTileProgram(tileParams);
    expect(decoded.layout).toEqual(layout);
    expect(decoded.program).toMatchObject({
      inputs: program.inputs,
      instructions: program.instructions,
      results: program.results,
    });
  });
  it('dtype codes are the order of dtypes', () => {
    for (const dtype of dtypes) expect(nameOf('dtype', codeOf('dtype', dtype))).toBe(dtype);
  });
  it.each([[[3]], [[4, 1, 1]], [[1, 1, 1, 1, 9, 0, 0]], [tileParams.slice(0, -1)]])(
    'a block %# that is none is refused',
    (block) => {
      expect(() => decodeTileProgram(block)).toThrow(
        /tile: \w+ must be a count|tile takes \d+ buffers and \d+ params/,
      );
    },
  );
});

describe('literals', () => {
  it.each([
    [1, 'f32', '1.0f'],
    [-0, 'f32', 'bitcast<f32>(0x80000000u)'],
    [Number.NaN, 'f32', 'not_a_number()'],
    [Number.NEGATIVE_INFINITY, 'f32', '-infinity()'],
    [-(2 ** 31), 'i32', 'i32(-2147483648)'],
    [2 ** 32 - 1, 'u32', '4294967295u'],
    [1, 'bool', 'true'],
  ] as const)('%f as %s', (value, kind, text) => {
    expect(literal(value, kind)).toBe(text);
  });
});
