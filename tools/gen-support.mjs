// The table of ops: what each takes, where it has kernels, whether it differentiates and how it maps over batches, read from the
// OpDefs. `node tools/gen-support.mjs` writes docs/support.md; a test fails when it is not current.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
export const pagePath = at('docs/support.md');

const nowhere = { storage: -1, offset: 0, byteLength: 0 };

/** Kernels that an op is lowered to on its cases; 'tile' for an elementwise op. */
function kernelsOf(op) {
  if (op.elementwise !== undefined) return ['tile'];
  if (op.kernel === undefined) return [];
  const found = new Set();
  for (const c of op.cases) {
    const types = c.inputs.map((s) => s && { shape: s.shape, dtype: s.dtype ?? 'f32', ...s.type });
    if (c.inputs.some((s) => s?.weight !== undefined)) continue;
    const typed = (type) => ({ type, slice: nowhere });
    const inputs = types.map((t) => t && typed(t));
    const context = {
      inputs,
      outputs: op.infer(types, c.attrs).map(typed),
      attrs: c.attrs,
      emit: (name) => found.add(name),
      scratch: () => nowhere,
    };
    try {
      op.kernel.emit(context);
    } catch {
      // a case with operands that only a device makes
    }
  }
  return [...found].sort();
}

const inOrder = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'];

/** Dtypes of the first dense operand that the op takes; operands beside it follow. */
function dtypesOf(op) {
  const dense = op.cases.find((c) => c.inputs.some((s) => s && !s.weight));
  if (dense === undefined) return op.cases.some((c) => c.inputs.length > 0) ? 'packed' : 'all';
  const first = dense.inputs.findIndex((s) => s && !s.weight && (s.dtype ?? 'f32') !== 'bool');
  const taken = inOrder.filter((dtype) =>
    op.cases.some((c) => {
      const own = c.inputs[Math.max(first, 0)]?.dtype ?? 'f32';
      if (own === dtype) return true;
      if (c.inputs.some((s) => s?.weight)) return false;
      const types = c.inputs.map(
        (s) => s && { shape: s.shape, dtype: (s.dtype ?? 'f32') === own ? dtype : (s.dtype ?? 'f32') },
      );
      try {
        op.infer(types, c.attrs);
        return true;
      } catch {
        return false;
      }
    }),
  );
  return taken.length === inOrder.length ? 'all' : taken.join(', ');
}

const gradientOf = (op) => (op.vjp === 'none' ? '' : op.vjp === 'composite' ? 'composite' : 'rule');

function batchOf(op) {
  if (op.inPlace !== undefined) return '';
  if (op.batch !== undefined) return 'rule';
  if (op.elementwise !== undefined) return 'broadcast';
  return op.composite === undefined ? 'one by one' : 'composite';
}

/** The page, of the list of ops and what a WebGPU device has kernels for. */
export function page(ops, hasGpuKernel) {
  const rows = [...ops]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((op) => {
      const kernels = kernelsOf(op);
      const lowered = op.kernel !== undefined || op.elementwise !== undefined;
      const own = op.forwards === true ? 'goes away' : op.view !== undefined ? 'view' : 'constant';
      const rest = op.composite === undefined ? own : 'composite';
      const cpu = lowered ? 'kernel' : rest;
      const gpu = lowered && kernels.every(hasGpuKernel) ? 'kernel' : rest;
      const reference = op.composed === true ? 'composite' : 'reference';
      const names = kernels.map((k) => `\`${k}\``).join(' ');
      const cells = [`\`${op.name}\``, dtypesOf(op), reference, cpu, gpu, names, gradientOf(op), batchOf(op)];
      return `| ${cells.join(' | ')} |`;
    });
  return `# Ops: what runs where

Made by \`node tools/gen-support.mjs\` from the definitions in \`src/array/ops\`. Functions of \`ingot/array\` that are not here are made of these
and run, differentiate and map over batches as they do.

- **dtypes**: of the operands that hold numbers; functions cast others before they call the op. Packed: quantised weights.
- **TypeScript, CPU, WebGPU**: a kernel, the reference in plain TypeScript, or the ops of the composite. What
  goes away, is a view of its operand or a constant made before the run needs no kernel.
- **gradient**: a rule, that of the composite, or none: integers, truth values, memory and samples have none.
- **batch** (\`vmap\`): a rule, broadcasting, the composite, one example after the other, or none for what updates a State.

| op | dtypes | TypeScript | CPU | WebGPU | kernels | gradient | batch |
|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { rolldown } = await import('rolldown');
  const folder = mkdtempSync(join(tmpdir(), 'ingot-support-'));
  try {
    const entry = join(folder, 'entry.ts');
    writeFileSync(
      entry,
      `export { ops } from ${JSON.stringify(at('src/array/ops/list.ts'))};
export { findGpuKernel } from ${JSON.stringify(at('src/kernel/wgsl/index.ts'))};`,
    );
    const bundle = await rolldown({ input: entry, platform: 'node' });
    await bundle.write({ dir: folder, entryFileNames: 'entry.mjs' });
    const { ops, findGpuKernel } = await import(pathToFileURL(join(folder, 'entry.mjs')).href);
    writeFileSync(
      pagePath,
      page(ops, (name) => findGpuKernel(name) !== undefined),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
