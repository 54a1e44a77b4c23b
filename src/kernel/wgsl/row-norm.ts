// What the norms of rows share: operands of one dtype, rows or sums of two rows that are read once.

import { groupIndex } from './common.ts';
import { type GpuKernelPlan, grid, type KernelRequest, read } from './contract.ts';
import { withFunctions } from './emit.ts';
import { type RowCells, rowCells, rowReduce, rowStart, rowThreads, threadsPerRow } from './row-cells.ts';
import { loadQuad, packQuad, quadArray } from './storage.ts';

export interface NormCode {
  readonly cells: RowCells;
  /** Elements of a cell are summed by this. */
  total(cell: string): string;
  /** Writes the value of a cell of y. */
  store(value: string, place: string): string;
  /** A cell of an operand. */
  operand(name: string, place: string): string;
  /** Elements of a row, as f32. */
  readonly D: string;
}

/** The plan of a norm: `body` computes `y` from the cells, calling `row_sum(value, t)`; it begins with their load. */
export function planRowNorm(
  request: KernelRequest<'rms_norm'> | KernelRequest<'layer_norm'>,
  rowOperands: readonly { readonly name: string; readonly buffer: number }[],
  body: (code: NormCode) => string,
): GpuKernelPlan {
  const { p, b } = request as KernelRequest<'rms_norm'>;
  const dtype = request.named('dtype', p.dtype);
  const D = request.isConstant(p.D) ? request.constant(p.D) : undefined;
  const vector = D !== undefined && D % 4 === 0;
  const width = D === undefined ? `u32(${request.int(p.D)})` : vector ? D / 4 : D;
  const perRow = typeof width === 'number' ? threadsPerRow(width) : rowThreads;
  const load = (name: string, place: string): string =>
    vector ? loadQuad(dtype, name, place) : `${name}[${place}]`;
  const stored = (value: string): string => (vector ? packQuad(dtype, value) : value);
  // The norm is of the sum as it is kept.
  const asStored = (value: string): string => (dtype === 'f32' ? value : `${dtype}_quad(${stored(value)})`);
  const residual = request.has(b.residual);
  const x = (place: string): string => load('x', `base + ${place}`);
  const cells = rowCells({
    cells: width,
    perRow,
    empty: vector ? 'vec4<f32>()' : '0.0',
    value: residual ? (place) => asStored(`${x(place)} + ${load('residual', `base + ${place}`)}`) : x,
    ...(residual
      ? { keep: (v: string, place: string) => ` if (live) { sum[base + ${place}] = ${stored(v)}; }` }
      : {}),
  });
  const code = `${rowReduce('row_sum', perRow, 'a + b')}${rowStart(`u32(${request.int(p.rows)})`, perRow)}  let base = row * ${typeof width === 'number' ? `${width}u` : width};
${body({
  cells,
  total: (v) => (vector ? `dot(${v}, vec4<f32>(1.0))` : v),
  store: (value, place) => `y[base + ${place}] = ${stored(value)};`,
  operand: load,
  D: D === undefined ? `f32(${width})` : `${D}.0`,
})}}
`;
  const type = vector ? quadArray(dtype) : 'array<f32>';
  return {
    variants: [
      {
        passes: [
          {
            name: request.name,
            bindings: [
              read(b.x, 'x', type),
              ...rowOperands.map(({ name, buffer }) => read(buffer, name, type)),
              { buffer: b.y, name: 'y', type, access: 'read_write' },
              ...(residual
                ? ([
                    read(b.residual, 'residual', type),
                    { buffer: b.sum, name: 'sum', type, access: 'read_write' },
                  ] as const)
                : []),
            ],
            code: `${groupIndex}${withFunctions(code, 4)}`,
            groups: request.sized([p.rows], (rows = 0) => grid(Math.ceil((rows * perRow) / rowThreads))),
          },
        ],
      },
    ],
  };
}
