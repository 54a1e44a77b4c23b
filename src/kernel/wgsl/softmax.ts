// softmax and its logarithm over rows, which are read once where their size is known.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { withFunctions } from './emit.ts';
import { rowCells, rowReduce, rowStart, rowThreads, threadsPerRow } from './row-cells.ts';
import { loadQuad, packQuad, quadArray } from './storage.ts';

const lowest = '-3.4028234e38';

export const softmaxKernel: GpuKernel<'softmax'> = {
  name: 'softmax',
  plan(request) {
    const D = request.isConstant(request.p.D) ? request.constant(request.p.D) : undefined;
    const dtype = request.named('dtype', request.p.dtype);
    const vector = D !== undefined && D % 4 === 0;
    const width = D === undefined ? 'width' : vector ? D / 4 : D;
    const perRow = typeof width === 'number' ? threadsPerRow(width) : rowThreads;
    const cells = rowCells({
      cells: width,
      perRow,
      empty: vector ? `vec4<f32>(${lowest})` : lowest,
      value: (place) => (vector ? loadQuad(dtype, 'x', `base + ${place}`) : `x[base + ${place}]`),
    });
    const fold = (v: string, f: (a: string, b: string) => string): string =>
      vector ? f(f(`${v}.x`, `${v}.y`), f(`${v}.z`, `${v}.w`)) : v;
    const log = request.constant(request.p.log) === 1;
    const result = (v: string): string => (log ? `${v} - largest - log(sum)` : `exp(${v} - largest) / sum`);
    const store = (v: string): string => (vector ? packQuad(dtype, result(v)) : result(v));
    const body = `${rowReduce('row_sum', perRow, 'a + b')}${rowReduce('row_max', perRow, 'max(a, b)')}${rowStart(`u32(${request.int(request.p.rows)})`, perRow)}  let width = ${typeof width === 'number' ? `${width}u` : `u32(${request.int(request.p.D)})`};
  let base = row * width;
  var most = ${lowest};
${cells.load}${cells.each((v) => `most = max(most, ${fold(v, (a, b) => `max(${a}, ${b})`)});`)}  let largest = row_max(most, t);
  var part_sum = 0.0;
${cells.each((v) => `{ let e = exp(${v} - largest); part_sum += ${fold('e', (a, b) => `(${a} + ${b})`)}; }`)}  let sum = row_sum(part_sum, t);
  if (!live) { return; }
${cells.each((v, i) => `y[base + ${i}] = ${store(v)};`)}}
`;
    const type = vector ? quadArray(dtype) : 'array<f32>';
    return {
      variants: [
        {
          passes: [
            {
              name: 'softmax',
              bindings: [
                { buffer: request.b.x, name: 'x', type, access: 'read' },
                { buffer: request.b.y, name: 'y', type, access: 'read_write' },
              ],
              code: `${groupIndex}${withFunctions(body, 4)}`,
              groups: request.sized([request.p.rows], (rows = 0) =>
                grid(Math.ceil((rows * perRow) / rowThreads)),
              ),
            },
          ],
        },
      ],
    };
  },
};
