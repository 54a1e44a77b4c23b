// The ops as a list.

import type { OpDef } from '../op.ts';
import * as all from './index.ts';

export const ops: readonly OpDef[] = Object.values(all);
