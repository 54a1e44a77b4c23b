// Checks the rules of docs/architecture.md on src/: imports go down the list of layers, no cycles, no barrels, and a few
// names that belong to one place only. Prints one line per violation and exits 1 when there is one.
// Use: node tools/check-layers.mjs [src folder]

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/** Bottom up; a folder imports from itself and from folders before it. `testing` and the root entry may import all. */
export const layers = [
  'base',
  'quant',
  'kernel',
  'device',
  'array',
  'toolkit',
  'nn',
  'weights',
  'tokenizer',
  'hub',
  'cache',
  'experts',
  'models',
  'generate',
  'patch',
  'train',
  'chat',
  'engine',
  'ai-sdk',
  'web',
  'server',
  'cli',
];
const side = new Set(['testing', '']);

/** Pairs that the order alone would allow. `why` is printed. */
const forbidden = [
  {
    from: /^models\//,
    to: /^(cache|tokenizer|generate)\//,
    why: 'a model knows no concrete cache, tokenizer or sampler',
  },
];

/** Names that one place owns. */
const owned = [
  { what: 'process.env', only: /^base\/env\.ts$/, why: 'read the environment through base/env.ts' },
  { what: 'console', only: /^cli\//, why: 'only cli/ prints' },
  { what: 'GPU type', only: /^device\/webgpu\//, why: 'GPU types stay inside device/webgpu' },
];

/** Entries of the package and its subpaths: barrels, for users only. Deeper index files are lists and may be imported. */
const entry = /^([^/]+\/)?index\.ts$/;

const isTest = (path) => /\.test\.ts$/.test(path);
const layerOf = (path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');
/** Folder of models/ that a file is in, and whether it is a family: one that has a model.ts. */
const modelFolder = (path) => /^models\/([^/]+)\//.exec(path)?.[1];
const familiesOf = (files) =>
  new Set(files.filter((f) => /^models\/[^/]+\/model\.ts$/.test(f)).map(modelFolder));

function listFiles(root, folder = root) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return listFiles(root, path);
    return /\.ts$/.test(entry.name) ? [relative(root, path).split(sep).join('/')] : [];
  });
}

/** Imports and owned names of one source file, each with its line. */
function scan(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports = [];
  const names = [];
  const lineOf = (node) => source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const addImport = (literal, typeOnly) => {
    if (literal && ts.isStringLiteralLike(literal))
      imports.push({ name: literal.text, typeOnly, line: lineOf(literal) });
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) addImport(node.moduleSpecifier, onlyTypes(node.importClause));
    else if (ts.isExportDeclaration(node)) addImport(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      addImport(node.arguments[0], true); // loaded later, so no cycle at start-up
    } else if (ts.isImportTypeNode(node)) addImport(node.argument.literal, true);
    else if (ts.isIdentifier(node)) {
      const what = ownedName(node);
      if (what) names.push({ what, line: lineOf(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, names };
}

function onlyTypes(clause) {
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const bindings = clause.namedBindings;
  return (
    !clause.name && bindings && ts.isNamedImports(bindings) && bindings.elements.every((e) => e.isTypeOnly)
  );
}

function ownedName(id) {
  const parent = id.parent;
  const isMember = ts.isPropertyAccessExpression(parent) && parent.name === id;
  if (id.text === 'env') {
    if (isMember && parent.expression.getText() === 'process') return 'process.env';
    if (ts.isImportSpecifier(parent) && /process/.test(parent.parent.parent.parent.moduleSpecifier.text))
      return 'process.env';
    if (ts.isBindingElement(parent) && /\bprocess$/.test(parent.parent.parent.initializer?.getText() ?? ''))
      return 'process.env';
  }
  if (isMember && parent.expression.getText() !== 'globalThis') return undefined;
  if (id.text === 'console' && !ts.isPropertyAssignment(parent)) return 'console';
  if (/^GPU[A-Z]/.test(id.text)) return 'GPU type';
  return undefined;
}

function checkImport(from, to, families) {
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)];
  for (const layer of [fromLayer, toLayer]) {
    if (!side.has(layer) && !layers.includes(layer)) return `folder ${layer}/ is not in the list of layers`;
  }
  if (!side.has(fromLayer)) {
    if (side.has(toLayer)) return `${fromLayer}/ must not import ${toLayer || 'the package entry'}`;
    if (layers.indexOf(toLayer) > layers.indexOf(fromLayer)) return `${fromLayer}/ is below ${toLayer}/`;
  }
  const [own, other] = [modelFolder(from), modelFolder(to)];
  if (families.has(other) && own !== other) {
    if (own !== undefined) return `models/${own} must not import the family ${other}`;
    if (from !== 'models/registry.ts' && !side.has(fromLayer))
      return `only the registry knows the family ${other}`;
  }
  return forbidden.find((rule) => rule.from.test(from) && rule.to.test(to))?.why;
}

/** Cycles in the graph of imports that run, each as the list of its files. One per strongly connected component. */
export function findCycles(graph) {
  const state = new Map();
  const stack = [];
  const cycles = [];
  let counter = 0;
  const visit = (v) => {
    const own = { index: counter, low: counter, onStack: true };
    counter++;
    state.set(v, own);
    stack.push(v);
    for (const w of graph.get(v) ?? []) {
      const seen = state.get(w);
      if (!seen) own.low = Math.min(own.low, visit(w).low);
      else if (seen.onStack) own.low = Math.min(own.low, seen.index);
    }
    if (own.low === own.index) {
      const component = stack.splice(stack.indexOf(v));
      for (const w of component) state.get(w).onStack = false;
      if (component.length > 1 || (graph.get(v) ?? []).includes(v)) cycles.push(component);
    }
    return own;
  };
  for (const v of graph.keys()) if (!state.has(v)) visit(v);
  return cycles;
}

/** All violations below `root`, as `file:line: message`. */
export function checkLayers(root) {
  const files = listFiles(root).sort();
  const families = familiesOf(files);
  const problems = [];
  const graph = new Map();
  for (const file of files) {
    const { imports, names } = scan(file, readFileSync(join(root, file), 'utf8'));
    const report = (line, message) => problems.push(`${file}:${line}: ${message}`);
    const edges = [];
    graph.set(file, edges);
    for (const { name, typeOnly, line } of imports) {
      if (!name.startsWith('.')) continue;
      const target = relative(root, resolve(root, dirname(file), name))
        .split(sep)
        .join('/');
      if (target.startsWith('..')) {
        if (!isTest(file)) report(line, `${name} is outside src/`);
        continue;
      }
      if (!existsSync(join(root, target))) {
        report(line, `${name} does not exist (imports carry their .ts or .json extension)`);
        continue;
      }
      if (!typeOnly) edges.push(target);
      if (isTest(file)) continue;
      if (entry.test(target)) report(line, `${name} is a barrel: import the file that defines the name`);
      const problem = checkImport(file, target, families);
      if (problem) report(line, `imports ${target}: ${problem}`);
    }
    if (isTest(file)) continue;
    for (const { what, line } of names) {
      const rule = owned.find((r) => r.what === what);
      if (!rule.only.test(file)) report(line, `${what}: ${rule.why}`);
    }
  }
  for (const cycle of findCycles(graph))
    problems.push(`${cycle[0]}:1: circular import: ${cycle.join(' -> ')}`);
  return { files: files.length, problems };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { files, problems } = checkLayers(resolve(process.argv[2] ?? 'src'));
  for (const problem of problems) console.error(problem);
  console.log(
    `layers: ${files} files, ${problems.length === 0 ? 'no violations' : `${problems.length} violations`}`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
