// Trees to typed expressions: every name, arity and type is checked, and what is wrong is told at its character.

import { IngotError } from '../../base/errors.ts';
import { binary, constant, type Expr, instruction, type Operation, unary } from '../expr.ts';
import type { RegisterKind } from '../tile-opcodes.ts';
import { fail, type Source, suggestion } from './errors.ts';
import { constants, functions, type LanguageFunction } from './functions.ts';
import { parseKernel } from './parser.ts';
import type { ParsedKernel, Syntax } from './syntax.ts';

/** A source that has been parsed, with the names it reads and does not define, in the order they appear. */
export interface KernelSource extends Source {
  readonly parsed: ParsedKernel;
  readonly freeNames: readonly string[];
}

/** Expressions by name; a number has the type of what it is used with. */
export type Scope = ReadonlyMap<string, Expr | number>;

/** An expression made of numbers without a type, such as `select(0, 1, x > 0)`: it takes one as they do. */
class Untyped {
  readonly #make: (kind: RegisterKind) => Expr;
  readonly #made = new Map<RegisterKind, Expr>();

  constructor(make: (kind: RegisterKind) => Expr) {
    this.#make = make;
  }

  as(kind: RegisterKind): Expr {
    const before = this.#made.get(kind);
    if (before !== undefined) return before;
    const made = this.#make(kind);
    this.#made.set(kind, made);
    return made;
  }
}

/**
 * Parses a source and checks its names and arities. With `inputs` a name that is none of them is an error; without, names that
 * nothing defines are the inputs. Throws invalid_argument with line, column and a caret.
 */
export function readSource(what: string, text: string, inputs?: readonly string[]): KernelSource {
  if (typeof text !== 'string') {
    throw new IngotError(
      'invalid_argument',
      `${what}: an expression is missing, got ${text === null ? 'null' : typeof text}`,
    );
  }
  const source = { what, text };
  const parsed = parseKernel(source);
  const free: string[] = [];
  new NameCheck(source, parsed, inputs, free).run();
  return { ...source, parsed, freeNames: free };
}

/**
 * The results as typed expressions over a scope that has the free names; results that are made of numbers alone are `untyped`.
 * Throws invalid_argument at the character.
 */
export function typeSource(
  source: KernelSource,
  scope: Scope,
  untyped: RegisterKind = 'f32',
): readonly { readonly name: string | undefined; readonly expr: Expr }[] {
  const checker = new Checker(source, scope);
  return source.parsed.results.map(({ name, value }) => ({ name, expr: checker.result(value, untyped) }));
}

/** Every name is known, and every call has as many arguments as its function takes. */
class NameCheck {
  readonly #source: Source;
  readonly #parsed: ParsedKernel;
  readonly #inputs: readonly string[] | undefined;
  readonly #free: string[];

  constructor(source: Source, parsed: ParsedKernel, inputs: readonly string[] | undefined, free: string[]) {
    this.#source = source;
    this.#parsed = parsed;
    this.#inputs = inputs;
    this.#free = free;
  }

  run(): void {
    for (const h of this.#parsed.helpers.values()) {
      if (h.name in functions)
        fail(this.#source, h.at, `'${h.name}' is a function of the language: choose another name`);
      this.#visit(h.body, new Set(h.params), h.params);
    }
    const known = new Set<string>();
    for (const b of this.#parsed.bindings) {
      this.#visit(b.value, known);
      if (this.#inputs?.includes(b.name)) fail(this.#source, b.at, `'${b.name}' is an input already`);
      if (known.has(b.name))
        fail(this.#source, b.at, `'${b.name}' has a value already: values do not change`);
      known.add(b.name);
    }
    for (const { value } of this.#parsed.results) this.#visit(value, known);
  }

  /** `only`: the names of a function's body, which sees its parameters alone. */
  #visit(s: Syntax, known: ReadonlySet<string>, only?: readonly string[]): void {
    const down = (x: Syntax): void => this.#visit(x, known, only);
    switch (s.node) {
      case 'name':
        if (!known.has(s.name)) this.#freeName(s.name, s.at, known, only);
        return;
      case 'unary':
        down(s.x);
        return;
      case 'binary':
        down(s.a);
        down(s.b);
        return;
      case 'choice':
        down(s.condition);
        down(s.yes);
        down(s.no);
        return;
      case 'call':
        this.#call(s.name, s.args.length, s.at);
        s.args.forEach(down);
        return;
      default:
        return;
    }
  }

  #freeName(name: string, at: number, known: ReadonlySet<string>, only?: readonly string[]): void {
    if (name in constants && !this.#inputs?.includes(name)) return;
    if (only !== undefined) {
      fail(
        this.#source,
        at,
        `unknown name '${name}': a function sees its parameters (${only.join(', ') || 'none'}); pass it${suggestion(name, only)}`,
      );
    }
    if (name in functions && !this.#inputs?.includes(name)) {
      fail(this.#source, at, `'${name}' is a function: write ${name}(${functions[name]?.params.join(', ')})`);
    }
    if (this.#inputs !== undefined && !this.#inputs.includes(name)) {
      const all = [...this.#inputs, ...known];
      fail(
        this.#source,
        at,
        `unknown name '${name}'; there is ${all.join(', ') || 'none'}${suggestion(name, all)}`,
      );
    }
    if (!this.#free.includes(name)) this.#free.push(name);
  }

  #call(name: string, count: number, at: number): void {
    const params = this.#parsed.helpers.get(name)?.params ?? functions[name]?.params;
    if (params === undefined) {
      const known = [...this.#parsed.helpers.keys(), ...Object.keys(functions)];
      fail(
        this.#source,
        at,
        `unknown function '${name}'${suggestion(name, known) || ': docs/kernels.md lists those there are'}`,
      );
    }
    if (params.length === count) return;
    fail(
      this.#source,
      at,
      `${name}(${params.join(', ')}) takes ${params.length} argument${params.length === 1 ? '' : 's'}, got ${count}`,
    );
  }
}

const operations: Readonly<Record<string, Operation>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '%': 'mod',
  '<': 'lt',
  '<=': 'le',
  '>': 'gt',
  '>=': 'ge',
  '==': 'eq',
  '!=': 'ne',
  '&': 'and',
  '|': 'or',
  '^': 'xor',
  '<<': 'shl',
  '>>': 'shr',
};

/** What arithmetic on numbers alone gives. */
const folded: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => a << b,
  '>>': (a, b) => a >> b,
};

/** What stays without a type where all operands are; `/` does not, as 1/2 is a half. */
const adapting = {
  operators: new Set(['+', '-', '*', '%', '&', '|', '^', '<<', '>>']),
  functions: new Set(['min', 'max', 'clamp', 'abs', 'sign', 'square', 'fma']),
};

type Typed = Expr | Untyped | number;

const isUntyped = (t: Typed): t is Untyped | number => typeof t === 'number' || t instanceof Untyped;

class Checker {
  readonly #source: KernelSource;
  readonly #scope: Map<string, Typed>;
  /** Functions being replaced by their bodies. */
  readonly #inside: string[] = [];

  constructor(source: KernelSource, scope: Scope) {
    this.#source = source;
    this.#scope = new Map([...Object.entries(constants), ...scope]);
    for (const b of source.parsed.bindings) this.#scope.set(b.name, this.#type(b.value, this.#scope));
  }

  result(s: Syntax, untyped: RegisterKind): Expr {
    return this.#typed(s, this.#type(s, this.#scope), untyped);
  }

  #type(s: Syntax, scope: ReadonlyMap<string, Typed>): Typed {
    switch (s.node) {
      case 'number':
        return this.#number(s.text, s.at);
      case 'truth':
        return constant(s.value ? 1 : 0, 'bool');
      case 'name': {
        const found = scope.get(s.name);
        return found ?? fail(this.#source, s.at, `unknown name '${s.name}'`);
      }
      case 'unary':
        return this.#unary(s.sign, this.#type(s.x, scope), s.at, s.x);
      case 'binary':
        return this.#binary(s, scope);
      case 'choice': {
        const condition = this.#condition(s.condition, scope, '?');
        return this.#choice(condition, s.yes, s.no, scope, "the values of '?:'", s.at);
      }
      case 'call':
        return this.#call(s, scope);
      default:
        return s satisfies never;
    }
  }

  /** Integers without a suffix take the type of what they are used with; fractions are f32. */
  #number(text: string, at: number): Typed {
    const hexadecimal = /^0x/i.test(text);
    const suffix = hexadecimal ? /[iu]$/.exec(text)?.[0] : /[fhiu]$/.exec(text)?.[0];
    const value = Number(suffix === undefined ? text : text.slice(0, -1));
    const kind = suffix === 'i' ? 'i32' : suffix === 'u' ? 'u32' : 'f32';
    if (suffix === undefined && Number.isInteger(value) && !/[.e]/i.test(hexadecimal ? '' : text))
      return value;
    return this.#constant(value, kind, at);
  }

  #constant(value: number, kind: RegisterKind, at: number): Expr {
    return this.#told(at, () => constant(value, kind));
  }

  #typed(s: Syntax, t: Typed, kind: RegisterKind): Expr {
    if (t instanceof Untyped) return t.as(kind);
    return typeof t === 'number' ? this.#constant(t, kind, startOf(s)) : t;
  }

  #unary(sign: string, x: Typed, at: number, operand: Syntax): Typed {
    if (sign === '-' && typeof x === 'number') return -x;
    if (sign === '-' && x instanceof Untyped)
      return new Untyped((kind) => this.#defined(sign, kind, at, () => unary('neg', x.as(kind))));
    const typed = this.#typed(operand, x, sign === '-' ? 'f32' : 'i32');
    if (sign === '!' && typed.kind !== 'bool') {
      fail(this.#source, at, `'!' takes a bool, got ${typed.kind}: compare it, as in x == 0`);
    }
    const operation: Operation = sign === '-' ? 'neg' : 'not';
    return this.#defined(sign, typed.kind, at, () => unary(operation, typed));
  }

  #binary(s: Extract<Syntax, { node: 'binary' }>, scope: ReadonlyMap<string, Typed>): Typed {
    const { sign, at } = s;
    if (sign === '&&' || sign === '||') {
      const a = this.#condition(s.a, scope, sign);
      const b = this.#condition(s.b, scope, sign);
      return instruction(sign === '&&' ? 'and_bool' : 'or_bool', [a, b]);
    }
    const a = this.#type(s.a, scope);
    const b = this.#type(s.b, scope);
    const fold = folded[sign];
    if (typeof a === 'number' && typeof b === 'number' && fold !== undefined) return fold(a, b);
    const made = (x: Expr, y: Expr): Expr =>
      this.#defined(sign, x.kind, at, () => binary(operations[sign] as Operation, x, y));
    if (isUntyped(a) && isUntyped(b) && adapting.operators.has(sign))
      return new Untyped((kind) => made(this.#typed(s.a, a, kind), this.#typed(s.b, b, kind)));
    return made(...this.#together(s.a, a, s.b, b, `'${sign}'`, at));
  }

  #condition(s: Syntax, scope: ReadonlyMap<string, Typed>, sign: string): Expr {
    const c = this.#typed(s, this.#type(s, scope), 'i32');
    if (c.kind === 'bool') return c;
    fail(this.#source, startOf(s), `'${sign}' takes a bool, got ${c.kind}: compare it, as in x > 0`);
  }

  #choice(
    condition: Expr,
    yes: Syntax,
    no: Syntax,
    scope: ReadonlyMap<string, Typed>,
    what: string,
    at: number,
  ): Typed {
    const [a, b] = [this.#type(yes, scope), this.#type(no, scope)];
    const made = (x: Expr, y: Expr): Expr => instruction('select', [condition, x, y]);
    if (isUntyped(a) && isUntyped(b))
      return new Untyped((kind) => made(this.#typed(yes, a, kind), this.#typed(no, b, kind)));
    return made(...this.#together(yes, a, no, b, what, at));
  }

  /** Two operands of one type: a number takes that of the other. */
  #together(s: Syntax, a: Typed, r: Syntax, b: Typed, what: string, at: number): readonly [Expr, Expr] {
    const kind = !isUntyped(a) ? a.kind : !isUntyped(b) ? b.kind : 'f32';
    const number = [a, b].find((t) => typeof t === 'number' && t !== 0 && t !== 1);
    if (kind === 'bool' && number !== undefined)
      fail(
        this.#source,
        at,
        `${what} takes operands of one type, got bool and ${number}: convert the bool with f32(…)`,
      );
    // No choice of numbers is a bool.
    const x = this.#typed(s, a, kind === 'bool' && a instanceof Untyped ? 'f32' : kind);
    const y = this.#typed(r, b, kind === 'bool' && b instanceof Untyped ? 'f32' : kind);
    if (x.kind === y.kind) return [x, y];
    const to = x.kind === 'f32' || y.kind === 'f32' ? 'f32' : x.kind === 'bool' ? y.kind : x.kind;
    fail(
      this.#source,
      at,
      `${what} takes operands of one type, got ${x.kind} and ${y.kind}: convert one with ${to}(…)`,
    );
  }

  #call(s: Extract<Syntax, { node: 'call' }>, scope: ReadonlyMap<string, Typed>): Typed {
    const { name, at } = s;
    const helper = this.#source.parsed.helpers.get(name);
    const args = s.args.map((x) => this.#type(x, scope));
    if (helper !== undefined) {
      if (this.#inside.includes(name))
        fail(this.#source, at, `the function '${name}' calls itself: kernels do not recurse`);
      this.#inside.push(name);
      const inner = new Map<string, Typed>(Object.entries(constants));
      for (const [i, p] of helper.params.entries()) inner.set(p, args[i] as Typed);
      const result = this.#type(helper.body, inner);
      this.#inside.pop();
      return result;
    }
    if (!(name in functions)) fail(this.#source, at, `unknown function '${name}'`);
    if (name === 'select') {
      const [no, yes, c] = s.args as [Syntax, Syntax, Syntax];
      const condition = this.#condition(c, scope, 'select');
      return this.#choice(condition, yes, no, scope, 'select', at);
    }
    // The first argument with a type says which type numbers have; conversions take any.
    const given = args.find((a) => !isUntyped(a));
    const apply = (kind: RegisterKind): Expr => this.#apply(s, args, kind);
    if (given === undefined && adapting.functions.has(name)) return new Untyped(apply);
    return apply(given === undefined ? 'f32' : (given as Expr).kind);
  }

  #apply(
    { name, args: parts, at }: Extract<Syntax, { node: 'call' }>,
    args: readonly Typed[],
    kind: RegisterKind,
  ): Expr {
    const f = functions[name] as LanguageFunction;
    const typed = args.map((a, i) => this.#typed(parts[i] as Syntax, a, kind));
    const other = typed.find((a) => a.kind !== kind);
    if (other !== undefined) {
      fail(
        this.#source,
        at,
        `${name}(…) takes arguments of one type, got ${typed.map((a) => a.kind).join(', ')}: convert with f32(…)`,
      );
    }
    return this.#defined(`${name}(…)`, kind, at, () => f.make(typed));
  }

  /** `make` with a message about the type where the operation has none for it. */
  #defined(sign: string, kind: RegisterKind, at: number, make: () => Expr): Expr {
    const shown = sign.endsWith(')') ? sign : `'${sign}'`;
    try {
      return make();
    } catch (error) {
      if (!(error instanceof IngotError) || error.code !== 'invalid_argument') throw error;
      const remedy = /cast to .*/.exec(error.message)?.[0]?.replace('cast', 'convert it');
      return fail(
        this.#source,
        at,
        `${shown} is not defined for ${kind}${remedy === undefined ? '' : `: ${remedy}`}`,
      );
    }
  }

  #told(at: number, make: () => Expr): Expr {
    try {
      return make();
    } catch (error) {
      if (error instanceof IngotError && error.code === 'invalid_argument')
        fail(this.#source, at, error.message);
      throw error;
    }
  }
}

/** Place of the first character of an expression. */
function startOf(s: Syntax): number {
  if (s.node === 'binary') return startOf(s.a);
  return s.node === 'choice' ? startOf(s.condition) : s.at;
}
