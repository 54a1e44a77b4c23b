// The page of the catalog: every exported kernel of src/toolkit/catalog with what its comment says. `node tools/gen-catalog.mjs` writes
// docs/catalog.md; a test fails when it is not current. Speeds come from bench/results/kernels/catalog.jsonl, where there are some.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
export const pagePath = at('docs/catalog.md');
const resultsPath = at('bench/results/kernels/catalog.jsonl');
export const tags = ['formula', 'shapes', 'gradient', 'source'];

/** Kernels of a module in the order of the file: `{ name, note, formula, shapes, gradient, source }`. */
export function kernelsOf(path) {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const kernels = [];
  const add = (name, node) => {
    const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
    const doc = docs.at(-1);
    const text = (part) => (ts.getTextOfJSDocComment(part.comment) ?? '').replace(/\s+/g, ' ').trim();
    const found = Object.fromEntries((doc?.tags ?? []).map((t) => [t.tagName.text, text(t)]));
    kernels.push({ name, note: doc === undefined ? '' : text(doc), ...found });
  };
  for (const s of source.statements) {
    const exported =
      ts.canHaveModifiers(s) && ts.getModifiers(s)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword);
    if (ts.isExportDeclaration(s) && s.exportClause && ts.isNamedExports(s.exportClause) && !s.isTypeOnly) {
      for (const e of s.exportClause.elements) add(e.name.text, s);
    } else if (exported && ts.isFunctionDeclaration(s)) add(s.name.text, s);
    else if (exported && ts.isVariableStatement(s)) {
      for (const d of s.declarationList.declarations) add(d.name.getText(), s);
    }
  }
  return kernels;
}

/** Modules by name, with their first comment. */
export function modules() {
  const folder = at('src/toolkit/catalog');
  const files = readdirSync(folder).filter(
    (f) => /^[a-z]+\.ts$/.test(f) && f !== 'index.ts' && f !== 'common.ts',
  );
  return files.sort().map((file) => {
    const path = join(folder, file);
    const head = /^(?:\/\/ .*\n)+/.exec(readFileSync(path, 'utf8'))?.[0] ?? '';
    return {
      name: file.replace('.ts', ''),
      about: head.replaceAll('// ', '').replaceAll('\n', ' ').trim(),
      kernels: kernelsOf(path),
    };
  });
}

/** Newest result of each kernel and machine. */
function speeds() {
  if (!existsSync(resultsPath)) return new Map();
  const rows = readFileSync(resultsPath, 'utf8')
    .trim()
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => JSON.parse(l));
  const byKernel = new Map();
  for (const r of rows) {
    const own = byKernel.get(r.name) ?? new Map();
    own.set(r.device, `${(100 * r.shareOfCopy).toFixed(0)} % of copy, ${r.ratio.toFixed(1)}x (${r.device})`);
    byKernel.set(r.name, own);
  }
  return byKernel;
}

const cell = (text) => (text ?? '').replaceAll('|', '\\|');
const link = (text) => (/^https?:/.test(text ?? '') ? `[paper](${text})` : cell(text));

export function page() {
  const all = modules();
  const measured = speeds();
  const count = all.reduce((n, m) => n + m.kernels.length, 0);
  const parts = all.map(({ name, about, kernels }) => {
    const rows = kernels.map((k) => {
      const speed = [...(measured.get(`${name}.${k.name}`)?.values() ?? [])].join('; ');
      const formula = `${k.note === '' ? '' : `${k.note} `}${k.formula}`;
      return `| \`${k.name}\` | ${cell(formula)} | ${cell(k.shapes)} | ${cell(k.gradient)} | ${link(k.source)} | ${speed} |`;
    });
    return `## ${name}\n${about}\n\n| kernel | computes | shapes | gradient | source | speed |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  return `# The catalog
${count} kernels, as \`import { catalog } from 'ingot/kernel'\` and \`catalog.norms.addRmsNorm(x, residual, w)\`. Made from src/toolkit/catalog by
\`node tools/gen-catalog.mjs\`. Operands are f32, f16 or bf16 unless a dtype is given; floats are computed in f32 and stored in the dtype of the
operands. "speed" is the share of a copy of as many bytes that was reached, and the time of the plain composition over the kernel's, by
\`npm run bench -- kernels\`, which has a row for each of them: f16 \`[16384, 1024]\` where it is about memory. The CPU's numbers were taken beside other work, which scatters
them by a third.

${parts.join('\n')}`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(pagePath, page());
  console.log(`docs/catalog.md: ${modules().reduce((n, m) => n + m.kernels.length, 0)} kernels`);
}
