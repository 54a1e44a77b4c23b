// layer_norm: of rows, or of sums of two rows; the variance is of differences from the mean, as in the reference.

import type { GpuKernel } from './contract.ts';
import { planRowNorm } from './row-norm.ts';

export const layerNormKernel: GpuKernel<'layer_norm'> = {
  name: 'layer_norm',
  plan(request) {
    const { p, b } = request;
    const operands = [
      { name: 'w', buffer: b.w },
      { name: 'b', buffer: b.b },
    ].filter(({ buffer }) => request.has(buffer));
    return planRowNorm(request, operands, (code) => {
      const affine = (i: string): string =>
        operands.map(({ name }) => `${name === 'w' ? ' * ' : ' + '}${code.operand(name, i)}`).join('');
      return `  var total = 0.0;
${code.cells.load}${code.cells.each((v) => `total += ${code.total(v)};`)}  let mean = row_sum(total, t) / ${code.D};
  var squares = 0.0;
${code.cells.each((v) => `{ let d = ${v} - mean; squares += ${code.total('(d * d)')}; }`)}  let scale = inverseSqrt(row_sum(squares, t) / ${code.D} + ${request.float(p.eps)});
  if (!live) { return; }
${code.cells.each((v, i) => code.store(`(${v} - mean) * scale${affine(i)}`, i))}`;
    });
  },
};
