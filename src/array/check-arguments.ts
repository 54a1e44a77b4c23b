// Checks of arguments by written signatures, such as `pad(x: array, widths: number | [number, number][], mode?: 'edge' | 'wrap')`:
// what TypeScript says of the functions, for callers whose types nobody has checked. Optional null counts as left out.

import { type DType, dtypes } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { isOptions } from './arguments.ts';
import { NDArray } from './array.ts';

/** One type of a signature. */
interface Kind {
  readonly is: (x: unknown) => boolean;
  /** What is expected, for messages. */
  readonly says: string;
  /** Set for objects: what their properties must be. */
  readonly properties?: readonly Parameter[];
  /** Set for lists: what their elements must be. */
  readonly elements?: readonly Kind[];
}
interface Parameter {
  readonly name: string;
  readonly optional: boolean;
  readonly many: boolean;
  readonly kinds: readonly Kind[];
}
interface Signature {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** An object that may stand at the place of any parameter that may be left out. */
  readonly options?: Kind;
}

const isObject = (x: unknown): x is Readonly<Record<string, unknown>> => typeof x === 'object' && x !== null;
const simple: Readonly<Record<string, Kind>> = {
  array: { is: (x) => x instanceof NDArray, says: 'an array' },
  number: { is: (x) => typeof x === 'number', says: 'a number' },
  boolean: { is: (x) => typeof x === 'boolean', says: 'a truth value' },
  string: { is: (x) => typeof x === 'string', says: 'a text' },
  function: { is: (x) => typeof x === 'function', says: 'a function' },
  dtype: { is: (x) => dtypes.includes(x as DType), says: `a dtype (${dtypes.join(', ')})` },
  dim: { is: (x) => isObject(x) && 'name' in x && 'max' in x, says: 'a dynamic dimension' },
  device: { is: (x) => isObject(x) && 'allocate' in x, says: 'a device' },
  weight: { is: (x) => isObject(x) && 'value' in x, says: 'packed weights' },
  typed: { is: (x) => ArrayBuffer.isView(x), says: 'a typed array' },
  list: { is: Array.isArray, says: 'a list', elements: [{ is: () => true, says: 'anything' }] },
  arrays: {
    is: (x) => isOptions(x) && Object.values(x).every((v) => v instanceof NDArray),
    says: 'an object of arrays',
  },
  record: { is: (x) => isOptions(x), says: 'an object' },
  module: { is: (x) => isObject(x) && typeof x.namedModules === 'function', says: 'a module' },
  null: { is: (x) => x === null, says: 'null' },
  any: { is: () => true, says: 'anything' },
};

/** Reads the signatures that tools/gen-checked.mjs writes. */
function parse(text: string): Signature {
  const tokens = text.match(/'[^']*'|\.\.\.|[A-Za-z_$][\w$.]*|-?\d+|[^\s]/g) ?? [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  const take = (token: string): boolean => tokens[at] === token && ++at > 0;
  const parameters = (end: string): Parameter[] => {
    const found: Parameter[] = [];
    while (!take(end)) {
      const many = take('...');
      const name = next();
      const optional = take('?');
      take(':');
      const kinds = union();
      found.push({ name, optional, many, kinds: many ? (kinds[0]?.elements ?? kinds) : kinds });
      take(',') || take(';');
    }
    return found;
  };
  const union = (): Kind[] => {
    const kinds = [...item()];
    while (take('|')) kinds.push(...item());
    return kinds;
  };
  const item = (): readonly Kind[] => {
    let kinds = atom();
    while (tokens[at] === '[' && tokens[at + 1] === ']') {
      at += 2;
      kinds = [listOf(kinds)];
    }
    return kinds;
  };
  const atom = (): readonly Kind[] => {
    const token = next();
    if (token === '(') {
      const kinds = union();
      take(')');
      return kinds;
    }
    if (token === '{') return [object(parameters('}'))];
    if (token === '[') {
      const parts: (readonly Kind[])[] = [];
      while (!take(']')) {
        parts.push(union());
        take('?');
        take(',');
      }
      return [tuple(parts)];
    }
    if (token.startsWith("'")) return [{ is: (x) => x === token.slice(1, -1), says: token }];
    return [simple[token] ?? { is: (x) => x === Number(token), says: token }];
  };
  const name = next();
  take('(');
  const all = parameters(')');
  const last = all.at(-1);
  const [options] = last?.name === 'options' && !last.optional && all.length > 1 ? last.kinds : [];
  return options?.properties?.every((p) => p.optional)
    ? { name, parameters: all.slice(0, -1), options }
    : { name, parameters: all };
}

const fits = (x: unknown, kinds: readonly Kind[]): boolean => kinds.some((k) => k.is(x));
const listOf = (kinds: readonly Kind[]): Kind => ({
  is: (x) => Array.isArray(x) && x.every((v) => fits(v, kinds)),
  says: `a list of ${kinds.map((k) => k.says.replace(/^an? /, '')).join('s or ')}s`,
  elements: kinds,
});
const tuple = (parts: readonly (readonly Kind[])[]): Kind => ({
  is: (x) => Array.isArray(x) && x.length <= parts.length && x.every((v, i) => fits(v, parts[i] ?? [])),
  says: `[${parts.map((p) => p.map((k) => k.says).join(' or ')).join(', ')}]`,
});
const object = (properties: readonly Parameter[]): Kind => ({
  is: (x) =>
    // options are plain objects with no other names; what has properties that it needs may be of a class
    (properties.every((p) => p.optional)
      ? isOptions(x) && Object.keys(x).every((name) => properties.some((p) => p.name === name))
      : !Array.isArray(x) && !(x instanceof NDArray)) &&
    isObject(x) &&
    properties.every((p) => (x[p.name] == null ? p.optional : fits(x[p.name], p.kinds))),
  says: `{ ${properties.map((p) => `${p.name}${p.optional ? '?' : ''}`).join(', ')} }`,
  properties,
});

function described(x: unknown): string {
  if (typeof x === 'string') return `'${x.slice(0, 40)}'`;
  if (Array.isArray(x)) return `a list of ${x.length}`;
  if (x instanceof NDArray) return 'an array';
  if (typeof x === 'function') return 'a function';
  if (isOptions(x)) return `{ ${Object.keys(x).join(', ')} }`;
  return isObject(x)
    ? `a ${x.constructor?.name ?? 'object'}`
    : `${String(x)}${typeof x === 'bigint' ? 'n' : ''}`;
}

function refuse(what: string, argument: string, problem: string): never {
  throw new IngotError('invalid_argument', `${what}: ${argument} ${problem}`, { details: { argument } });
}

const mustBe = (kinds: readonly Kind[], x: unknown): string =>
  `must be ${kinds.map((k) => k.says).join(' or ')}, got ${described(x)}`;

/** The properties of an object, each checked; those that are null and may not be are left out. */
function checkedObject(what: string, argument: string, x: object, properties: readonly Parameter[]): object {
  if (!isOptions(x)) return x;
  const names = properties.map((p) => p.name);
  const odd = Object.keys(x).find((name) => !names.includes(name));
  if (odd !== undefined) refuse(what, `option ${odd}`, `is none of ${names.join(', ')}`);
  let result: Record<string, unknown> | undefined;
  for (const { name, optional, kinds } of properties) {
    const value = x[name];
    if (value === undefined && optional) continue;
    if (value === null && optional && !fits(null, kinds)) {
      result ??= { ...x };
      delete result[name];
    } else if (!fits(value, kinds)) refuse(what, `${argument}${name}`, mustBe(kinds, value));
  }
  return result ?? x;
}

function checkArgument(what: string, { name, optional, kinds }: Parameter, x: unknown): unknown {
  if (x === undefined && optional) return x;
  if (x === null && optional && !fits(null, kinds)) return undefined;
  if (isOptions(x)) {
    const objects = kinds.filter((k) => k.properties !== undefined);
    if (
      objects.length === 1 &&
      !fits(
        x,
        kinds.filter((k) => k.properties === undefined),
      )
    ) {
      return checkedObject(what, '', x, objects[0]?.properties ?? []);
    }
  }
  return fits(x, kinds) ? x : refuse(what, name, mustBe(kinds, x));
}

function checkArguments({ name, parameters, options }: Signature, given: readonly unknown[]): unknown[] {
  const args = [...given];
  const rest = parameters.at(-1)?.many === true ? parameters.at(-1) : undefined;
  const count = Math.max(args.length, rest === undefined ? parameters.length : parameters.length - 1);
  for (let i = 0; i < count; i++) {
    const parameter = rest !== undefined && i >= parameters.length - 1 ? rest : parameters[i];
    const x = args[i];
    if (options?.properties && isOptions(x) && !(parameter && !parameter.optional)) {
      args[i] = checkedObject(name, '', x, options.properties);
    } else if (parameter?.many) {
      if (!fits(x, parameter.kinds)) refuse(name, `argument ${i + 1}`, mustBe(parameter.kinds, x));
    } else if (parameter && (i < args.length || !parameter.optional)) {
      args[i] = checkArgument(name, parameter, x);
    }
  }
  return args;
}

/**
 * `f` behind a check of its arguments: throws invalid_argument that names the function, the argument and what was expected. Of
 * several signatures one must fit; the first one's problem is told when none does.
 */
// biome-ignore lint/suspicious/noExplicitAny: functions of any arguments
export function checked<F extends (...args: any[]) => any>(f: F, ...signatures: readonly string[]): F {
  let parsed: readonly Signature[] | undefined;
  const guarded = function (this: unknown, ...args: unknown[]): unknown {
    parsed ??= signatures.map(parse);
    return f.apply(this, firstFit(parsed, args));
  };
  const name = signatures[0]?.split('(')[0];
  Object.defineProperty(guarded, 'name', { value: name });
  return guarded as F;
}

/** A class whose constructor checks its arguments, also for classes that extend it. */
export function checkedClass<C extends abstract new (...args: never[]) => object>(
  of: C,
  ...signatures: readonly string[]
): C {
  const name = signatures[0]?.split('(')[0] ?? of.name;
  Object.defineProperty(of, 'name', { value: name }); // bundling may have changed it
  let parsed: readonly Signature[] | undefined;
  const proxy: C = new Proxy(of, {
    construct(target, args, newTarget) {
      parsed ??= signatures.map(parse);
      const most = Math.max(...parsed.map(takes));
      if (args.length > most && newTarget === proxy) {
        refuse(name, `argument ${most + 1}`, `is one too many, got ${described(args[most])}`);
      }
      return Reflect.construct(target as unknown as new () => object, firstFit(parsed, args), newTarget);
    },
  });
  return proxy;
}

/** Puts checks before methods of a class, once: by name, each with its signatures. */
export function checkMethods(
  of: { readonly prototype: object },
  methods: Readonly<Record<string, readonly string[]>>,
): void {
  for (const [name, signatures] of Object.entries(methods)) {
    let prototype = of.prototype as Record<string, (...args: unknown[]) => unknown>;
    while (!Object.hasOwn(prototype, name)) prototype = Object.getPrototypeOf(prototype); // from a base without a name
    const method = prototype[name];
    if (method === undefined || guards.has(method)) continue;
    const value = checked(method, ...signatures);
    guards.add(value);
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }
}
const guards = new WeakSet<object>();

/** How many arguments a signature has places for; more are passed over, as JavaScript does. */
const takes = ({ parameters, options }: Signature): number =>
  parameters.at(-1)?.many ? Number.POSITIVE_INFINITY : parameters.length + (options === undefined ? 0 : 1);

function firstFit(signatures: readonly Signature[], args: readonly unknown[]): unknown[] {
  const long = signatures.filter((s) => takes(s) >= args.length);
  const [first, ...others] = (long.length > 0 ? long : signatures) as [Signature, ...Signature[]];
  try {
    return checkArguments(first, args);
  } catch (error) {
    for (const signature of others) {
      try {
        return checkArguments(signature, args);
      } catch {
        // the next one may fit
      }
    }
    throw error;
  }
}
