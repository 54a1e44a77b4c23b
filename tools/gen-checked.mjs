// The libraries of arrays and layers as users get them: each function, method and constructor of src/array/library.ts and
// src/nn/library.ts behind a check of its arguments, by the types it is declared with. `node tools/gen-checked.mjs` writes
// src/array/checked/ and src/nn/checked/; a test fails when they are not current.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
export const libraries = ['array', 'nn'];
export const folderOf = (library) => at(`src/${library}/checked`);
const sourceOf = (library) => at(`src/${library}/library.ts`);

const { options } = ts.convertCompilerOptionsFromJson(
  ts.readConfigFile(at('tsconfig.json'), ts.sys.readFile).config.compilerOptions,
  at('.'),
);
const program = ts.createProgram(libraries.map(sourceOf), { ...options, noEmit: true, skipLibCheck: true });
const checker = program.getTypeChecker();

const nameOf = (type) => (type.aliasSymbol ?? type.symbol)?.name;
/** Types with a word of their own in signatures. */
const words = {
  NDArray: 'array',
  DType: 'dtype',
  DynDim: 'dim',
  Device: 'device',
  TypedArray: 'typed',
  Uint8Array: 'typed',
  Weight: 'weight',
};
/** Checked by the functions themselves: they go on without end. */
const unchecked = new Set(['NestedNumbers', 'Tree']);
const primitives = [
  [ts.TypeFlags.NumberLike, 'number'],
  [ts.TypeFlags.BooleanLike, 'boolean'],
  [ts.TypeFlags.Null, 'null'],
  [ts.TypeFlags.StringLike, 'string'],
];
const isOptional = (symbol) => (symbol.flags & ts.SymbolFlags.Optional) !== 0;

const dtypes = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'].map((d) => `'${d}'`);

/** A union; all dtypes together have one word. */
function joined(kinds) {
  if (kinds.includes('any')) return 'any';
  const all = dtypes.every((d) => kinds.includes(d));
  const own = all ? ['dtype', ...kinds.filter((k) => !dtypes.includes(k))] : kinds;
  return [...new Set(own)].sort().join(' | ');
}

/** A type in the notation that src/array/check-arguments.ts reads; 'any' for what it does not look at. */
function kindOf(type, depth = 0) {
  if (depth > 6 || unchecked.has(nameOf(type))) return 'any';
  if (Object.hasOwn(words, nameOf(type) ?? '')) return words[nameOf(type)];
  if (type.isStringLiteral()) return `'${type.value}'`;
  if (type.isNumberLiteral()) return String(type.value);
  if (type.isUnion()) {
    if (type.types.some((t) => unchecked.has(nameOf(t)))) return 'any';
    return joined(
      type.types.filter((t) => !(t.flags & ts.TypeFlags.Undefined)).map((t) => kindOf(t, depth + 1)),
    );
  }
  const primitive = primitives.find(([flag]) => type.flags & flag);
  if (primitive) return primitive[1];
  if (checker.isTupleType(type)) {
    const parts = checker.getTypeArguments(type).map((t) => kindOf(t, depth + 1));
    const { elementFlags } = type.target;
    if (elementFlags.some((f) => f & ts.ElementFlags.Variable)) return 'list';
    return `[${parts.map((p, i) => (elementFlags[i] & ts.ElementFlags.Optional ? `${p}?` : p)).join(', ')}]`;
  }
  if (checker.isArrayType(type)) {
    const [of] = checker.getTypeArguments(type);
    const kind = kindOf(of, depth + 1);
    return kind === 'any' ? 'list' : /[ ]/.test(kind) && !/^[[{]/.test(kind) ? `(${kind})[]` : `${kind}[]`;
  }
  if (type.getCallSignatures().length > 0) return 'function';
  const properties = checker.getPropertiesOfType(type);
  if (properties.some((p) => p.name === 'namedModules')) return 'module';
  const [index] = checker.getIndexInfosOfType(type);
  if (index !== undefined && !index.type.isUnion() && index.keyType.flags & ts.TypeFlags.String) {
    return nameOf(index.type) === 'NDArray' ? 'arrays' : 'record';
  }
  if (type.objectFlags & ts.ObjectFlags.Mapped) return propertiesOf(properties, depth);
  if (type.isIntersection()) return propertiesOf(properties, depth);
  if (!(type.flags & ts.TypeFlags.Object)) return 'any';
  const file = type.symbol?.declarations?.[0]?.getSourceFile().fileName ?? '';
  if (!file.includes('/src/') || type.isClass() || checker.getIndexInfosOfType(type).length > 0) return 'any';
  return propertiesOf(properties, depth);
}

function propertiesOf(properties, depth) {
  const parts = properties.map((p) => {
    const kind = kindOf(checker.getTypeOfSymbol(p), depth + 1);
    return `${p.name}${isOptional(p) ? '?' : ''}: ${kind}`;
  });
  return `{ ${parts.join('; ')} }`;
}

/** Positions of a tuple, and at the end `options: { … }` for an object that may stand at any of them (`Given`). */
function restOf(tuple, name) {
  const labels = tuple.target.labeledElementDeclarations ?? [];
  const places = checker.getTypeArguments(tuple).map((t, i) => ({
    label: labels[i]?.name.getText() ?? `${name}${i}`,
    mark: tuple.target.elementFlags[i] & ts.ElementFlags.Optional ? '?' : '',
    kinds: (t.isUnion() ? t.types : [t]).map((part) => [kindOf(part), part]),
    type: t,
  }));
  const objects = places.map(({ kinds }) => kinds.map(([k]) => k).filter((k) => k.startsWith('{')));
  const [shared] = (objects[0] ?? []).filter((k) => objects.every((own) => own.includes(k)));
  const parts = places.map(({ label, mark, kinds, type }) => {
    if (shared === undefined) return `${label}${mark}: ${kindOf(type)}`;
    const rest = kinds.filter(([k, part]) => k !== shared && !(part.flags & ts.TypeFlags.Undefined));
    return `${label}${mark}: ${joined(rest.map(([k]) => k))}`;
  });
  return shared === undefined ? parts : [...parts, `options: ${shared}`];
}

/** Parameters of one signature as `name?: kinds`; of a rest that is one of several tuples, number `way`. */
function parametersOf(signature, way) {
  return signature.getParameters().flatMap((p) => {
    const declaration = p.valueDeclaration;
    const own = checker.getTypeOfSymbol(p);
    if (declaration?.dotDotDotToken !== undefined) {
      const rest = own.isUnion() ? own.types[way] : own;
      return checker.isTupleType(rest) ? restOf(rest, p.name) : [`...${p.name}: ${kindOf(own)}`];
    }
    const optional = declaration !== undefined && checker.isOptionalParameter(declaration);
    // what is taken apart at once has no name of its own
    const name = ts.isIdentifier(declaration?.name ?? p) || declaration === undefined ? p.name : 'options';
    return [`${name}${optional ? '?' : ''}: ${kindOf(own)}`];
  });
}

/** `(x: array, axis?: number)` for each signature of a function. */
const signaturesOf = (type) =>
  type.getCallSignatures().flatMap((signature) => {
    const last = signature.getParameters().at(-1);
    const rest = last?.valueDeclaration?.dotDotDotToken && checker.getTypeOfSymbol(last);
    const ways = rest?.isUnion() && rest.types.every((t) => checker.isTupleType(t)) ? rest.types : [rest];
    return ways.map((_, way) => `(${parametersOf(signature, way).join(', ')})`);
  });

/** The doc comment of a declaration, as it stands there. */
function commentOf(symbol, tag = '@function') {
  const declaration = symbol.valueDeclaration ?? symbol.declarations?.[0];
  if (declaration === undefined) return '';
  let node = declaration;
  if (ts.isVariableDeclaration(node)) node = node.parent.parent;
  const text = node.getSourceFile().text;
  const ranges = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
  const last = ranges
    .map((r) => text.slice(r.pos, r.end))
    .filter((c) => c.startsWith('/**'))
    .at(-1);
  const lines = (last ?? '')
    .replace(/^\/\*\*[\s*]*/, '')
    .replace(/\s*\*\/$/, '')
    .split(/\n\s*\* ?/)
    .filter((line) => line !== '');
  return `/**\n${[...lines, tag].map((line) => ` * ${line}\n`).join('')} */\n`; // typedoc would list variables
}

const resolved = (symbol) =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
const reserved = new Set(['var', 'delete', 'eval', 'import', 'default', 'in']);

/** A class with methods that are checked: arrays, and modules. */
const isChecked = (type) =>
  nameOf(type) === 'NDArray' || checker.getPropertiesOfType(type).some((p) => p.name === 'namedModules');

/** A check of the methods of a class that take arguments, those that it does not inherit. Ops have operands of any kind. */
function methodChecks(symbol, name) {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  if (!isChecked(type)) return [];
  const prefix = nameOf(type) === 'NDArray' ? '' : `${name}.`;
  const checks = checker.getPropertiesOfType(type).flatMap((p) => {
    if (!(p.flags & ts.SymbolFlags.Method) || /^(apply|applyMany|[#_].*)$/.test(p.name)) return [];
    const declaration = p.valueDeclaration ?? p.declarations[0];
    const inherited = ts.isClassDeclaration(declaration.parent) && declaration.parent.symbol !== symbol;
    if (inherited || ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Protected) return [];
    const signatures = signaturesOf(checker.getTypeOfSymbol(p)).filter((s) => s !== '()');
    return signatures.length === 0
      ? []
      : [`  ${p.name}: [${signatures.map((s) => JSON.stringify(`${prefix}${p.name}${s}`)).join(', ')}],`];
  });
  return checks.length === 0 ? [] : [`checkMethods(f.${name}, {\n${checks.join('\n')}\n});`];
}

/** A class whose constructor checks its arguments, and the type of the same name; null for one that takes none. */
function checkedClass(symbol, name) {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  const abstract = ts.getCombinedModifierFlags(symbol.valueDeclaration) & ts.ModifierFlags.Abstract;
  if (abstract || nameOf(type) === 'NDArray' || !isChecked(type)) return null;
  const signatures = checker.getTypeOfSymbol(symbol).getConstructSignatures();
  const texts = signatures.map((s) => JSON.stringify(`${name}(${parametersOf(s, 0).join(', ')})`));
  const comment = commentOf(symbol, '@class');
  return [
    `${comment}export const ${name}: typeof f.${name} = /*#__PURE__*/ checkedClass(f.${name}, ${texts.join(', ')});`,
    `export type ${name} = f.${name};`,
  ];
}

const isTypeOnly = ({ declarations: [own] }) =>
  ts.isExportSpecifier(own) && (own.isTypeOnly || own.parent.parent.isTypeOnly);

/** The text of one generated module: everything a module exports, its functions behind checks. */
function moduleText(module, { path, prefix, checks }, nested) {
  const lines = [];
  const asTheyAre = [];
  const types = [];
  const methods = [];
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = resolved(exported);
    const { name } = exported;
    if (symbol.flags & ts.SymbolFlags.ValueModule) {
      const file = symbol.declarations[0].getSourceFile().fileName;
      const isMade = file.includes('/checked/');
      if (!isMade) nested.push([name, symbol]);
      lines.push(
        `export * as ${name} from '${isMade ? `../../${file.split('/src/')[1]}` : `./${name}.ts`}';`,
      );
      continue;
    }
    if (!(symbol.flags & ts.SymbolFlags.Value) || isTypeOnly(exported)) {
      types.push(name);
      continue;
    }
    const type = checker.getTypeOfSymbol(symbol);
    const signatures = symbol.flags & ts.SymbolFlags.Class ? [] : signaturesOf(type);
    if (symbol.flags & ts.SymbolFlags.Class) {
      methods.push(...methodChecks(symbol, name));
      const made = checkedClass(symbol, name);
      if (made === null) asTheyAre.push(name);
      else lines.push(...made);
      continue;
    }
    if (signatures.every((s) => s === '()')) {
      asTheyAre.push(name);
      continue;
    }
    const own = reserved.has(name) ? `${name}_` : name;
    const text = signatures.map((s) => JSON.stringify(`${prefix}${name}${s}`)).join(', ');
    lines.push(
      `${commentOf(symbol)}export const ${own}: typeof f.${name} = /*#__PURE__*/ checked(f.${name}, ${text});`.replace(
        /^export/m,
        own === name ? 'export' : '',
      ),
    );
    if (own !== name) lines.push(`export { ${own} as ${name} };`);
  }
  const given = asTheyAre.length > 0 ? [`export { ${asTheyAre.join(', ')} } from '${path}';`] : [];
  const typed = types.length > 0 ? [`export type { ${types.join(', ')} } from '${path}';`] : [];
  const body = [...given, ...typed, ...methods, ...lines].join('\n');
  const used = ['checked', 'checkedClass', 'checkMethods'].filter((word) => body.includes(`${word}(`));
  return `// Generated by tools/gen-checked.mjs from the declarations. Do not edit.

import { ${used.join(', ')} } from '${checks}';
import * as f from '${path}';

${body}
`;
}

/** Names and texts of the generated files of a library. */
export function files(library) {
  const nested = [];
  const source = sourceOf(library);
  const root = checker.getSymbolAtLocation(program.getSourceFile(source));
  const checks = library === 'array' ? '../check-arguments.ts' : '../../array/check-arguments.ts';
  const index = moduleText(root, { path: '../library.ts', prefix: '', checks }, nested);
  const inner = nested.map(([name, symbol]) => {
    const path = `../${symbol.declarations[0].getSourceFile().fileName.split(`/src/${library}/`)[1]}`;
    return [`${name}.ts`, moduleText(symbol, { path, prefix: `${name}.`, checks }, [])];
  });
  return [['index.ts', index], ...inner];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const library of libraries) {
    const folder = folderOf(library);
    const made = files(library);
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`);
    for (const [name, text] of made) writeFileSync(`${folder}/${name}`, text);
  }
}
