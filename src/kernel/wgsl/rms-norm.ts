// rms_norm: of rows, or of sums of two rows; what is normed may be added to another row.

import type { GpuKernel } from './contract.ts';
import { planRowNorm } from './row-norm.ts';

export const rmsNormKernel: GpuKernel<'rms_norm'> = {
  name: 'rms_norm',
  plan(request) {
    const { p, b } = request;
    const [hasWeight, after] = [request.has(b.w), request.has(b.after)];
    const operands = [
      { name: 'w', buffer: b.w },
      { name: 'after', buffer: b.after },
    ].filter(({ buffer }) => request.has(buffer));
    return planRowNorm(request, operands, (code) => {
      const added = (i: string): string => (after ? ` + ${code.operand('after', `base + ${i}`)}` : '');
      const weight = (i: string): string =>
        hasWeight ? ` * (${code.operand('w', i)} + ${request.float(p.offset)})` : '';
      return `  var squares = 0.0;
${code.cells.load}${code.cells.each((v) => `squares += ${code.total(`(${v} * ${v})`)};`)}  let scale = inverseSqrt(row_sum(squares, t) / ${code.D} + ${request.float(p.eps)});
  if (!live) { return; }
${code.cells.each((v, i) => code.store(`${v} * scale${weight(i)}${added(i)}`, i))}`;
    });
  },
};
