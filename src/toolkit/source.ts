// What a kernel runs as: the dispatches of its plan on a device, as text.

import { NDArray } from '../array/array.ts';
import { compile, type InputSpec } from '../array/compile.ts';
import type { Term } from '../array/ops/elementwise/elementwise.ts';
import type { Device, Dispatch } from '../device/device.ts';
import { decodeTileProgram } from '../kernel/tile-decode.ts';
import type { KernelResult } from './elementwise.ts';

/** Shapes and dtypes of the operands to show a kernel for, by name. */
export type ShownInputs = Readonly<Record<string, InputSpec>>;

interface Shown {
  readonly what: string;
  readonly inputs: readonly string[];
  apply(...operands: readonly Term[]): KernelResult;
}

/** Every dispatch with its text: WGSL where the device has it, instructions of tile programs, else name and params. */
export function showPrograms(kernel: Shown, device: Device, operands: ShownInputs = {}): string {
  const like = Object.values(operands)[0] ?? { shape: [1024], dtype: 'f32' as const };
  const inputs = Object.fromEntries(kernel.inputs.map((name) => [name, operands[name] ?? like]));
  const fn = (args: Readonly<Record<string, NDArray>>) => {
    const result = kernel.apply(...kernel.inputs.map((name) => args[name] as NDArray));
    return result instanceof NDArray ? [result] : result;
  };
  using plan = compile(fn, { device, inputs });
  const { dispatches, scalars } = plan.program;
  const parts = dispatches.map((d, i) => {
    const text =
      device.source?.(
        d,
        scalars.map((s) => s.name),
      ) ?? describe(d);
    return `// ${kernel.what}: ${i + 1} of ${dispatches.length}, ${d.label}\n${text}`;
  });
  return parts.join('\n');
}

function describe(d: Dispatch): string {
  if (d.kernel.kind !== 'native') return `${d.kernel.name}: its definition in TypeScript\n`;
  if (d.kernel.name !== 'tile')
    return `${d.kernel.name}(${d.params.map((p) => JSON.stringify(p)).join(', ')})\n`;
  const { program, layout } = decodeTileProgram(d.params);
  const registers = [
    ...layout.inputs.map(({ dtype }, i) => `r${i} = input ${i}, ${dtype}`),
    ...program.constants.map(({ kind, value }, i) => {
      const text = typeof value === 'number' ? value : value.scalar;
      return `r${layout.inputs.length + i} = ${kind} ${text}`;
    }),
    ...program.instructions.map(
      ({ opcode, dst, args }) => `r${dst} = ${opcode} ${args.map((a) => `r${a}`).join(', ')}`,
    ),
    ...program.results.map(({ register }, i) => `output ${i}, ${layout.outputs[i]} = r${register}`),
  ];
  return `${registers.join('\n')}\n`;
}
