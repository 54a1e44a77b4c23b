// tools/gen-support.mjs: the table of ops is what the OpDefs say.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { OpDef } from '../../src/array/op.ts';
import { ops } from '../../src/array/ops/list.ts';
import { findGpuKernel } from '../../src/kernel/wgsl/index.ts';

interface Tool {
  readonly pagePath: string;
  page(ops: readonly OpDef[], hasGpuKernel: (name: string) => boolean): string;
}
const url = new URL('../../tools/gen-support.mjs', import.meta.url).href;
const tool = (await import(url)) as Tool;

it('docs/support.md is current; `node tools/gen-support.mjs` makes it so', () => {
  expect(readFileSync(tool.pagePath, 'utf8')).toBe(
    tool.page(ops, (name) => findGpuKernel(name) !== undefined),
  );
});
