// {"name": …, "arguments": …}, as many formats write a call between marks of their own.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import { argumentText } from './normalise.ts';
import type { WrittenCall } from './tool-prompt.ts';

export const objectCall = (name: string, args: ConstraintSpec): ConstraintSpec => ({
  kind: 'sequence',
  parts: [
    { kind: 'literal', text: `{"name": ${JSON.stringify(name)}, "arguments": ` },
    args,
    { kind: 'literal', text: '}' },
  ],
});

export const callObject = ({ name, arguments: given }: WrittenCall): string =>
  `{"name": ${JSON.stringify(name)}, "arguments": ${argumentText(given)}}`;
