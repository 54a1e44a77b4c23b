// One elementwise op as a tile program of one instruction; chains are made by fusion before this.

import { invariant } from '../../base/errors.ts';
import { registerKind } from '../../kernel/expr.ts';
import type { LowerContext } from '../op.ts';
import { lowerTile } from '../ops/elementwise/tile-params.ts';
import { operand } from '../ops/operands.ts';
import type { OpNode } from './node.ts';
import { valueType } from './node.ts';

export function lowerElementwise(node: OpNode, context: LowerContext<object>): void {
  const kinds = node.inputs.map((_, i) => {
    const v = operand(node.inputs, i);
    return registerKind(valueType(v).dtype);
  });
  const result = registerKind(operand(node.outputs, 0).dtype);
  const opcode = node.op.elementwise?.opcode(kinds, result, node.attrs);
  invariant(opcode !== undefined, `${node.op.name} has no tile instruction for ${kinds.join(', ')}`);
  const args = kinds.map((_, i) => i);
  lowerTile(
    context,
    opcode === 'copy'
      ? { constants: [], instructions: [], results: [0] }
      : { constants: [], instructions: [{ opcode, args }], results: [kinds.length] },
  );
}
