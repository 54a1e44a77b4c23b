// Runs a parsed template: statements write, expressions give values.

import { Args, type Runtime } from './arguments.ts';
import type { Arguments, Body, Expression, FilterCall, MacroSignature, Statement, Target } from './ast.ts';
import type { Budget } from './budget.ts';
import { filterOf } from './filters.ts';
import { LoopState } from './loop.ts';
import { methodOf, numberAttribute } from './methods.ts';
import { binary, compareBy, itemAt, type SliceBounds, sliceOf, unary } from './operators.ts';
import { tests } from './tests.ts';
import { repr, str } from './text.ts';
import {
  Attributes,
  Callable,
  Dict,
  fail,
  itemsOf,
  type Keywords,
  Tuple,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Names and what they stand for, inside those of what is around. */
class Scope {
  readonly #names = new Map<string, Value>();
  readonly #around: Scope | undefined;
  constructor(around?: Scope) {
    this.#around = around;
  }
  get(name: string): Value | undefined {
    return this.#names.has(name) ? this.#names.get(name) : this.#around?.get(name);
  }
  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}

type Flow = 'next' | 'break' | 'continue';

export class Interpreter implements Runtime {
  readonly budget: Budget;
  readonly #top = new Scope();

  constructor(globals: ReadonlyMap<string, Value>, budget: Budget) {
    this.budget = budget;
    for (const [name, value] of globals) this.#top.set(name, value);
  }

  /** What the template writes. */
  run(body: Body): string {
    return this.#text(body, new Scope(this.#top));
  }

  #text(body: Body, scope: Scope): string {
    const out: string[] = [];
    this.#body(body, scope, out);
    return out.join('');
  }

  #body(body: Body, scope: Scope, out: string[]): Flow {
    for (const statement of body) {
      this.budget.step();
      const flow = this.#statement(statement, scope, out);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  #write(text: string, out: string[]): void {
    if (text === '') return;
    this.budget.make(text.length);
    out.push(text);
  }

  #statement(statement: Statement, scope: Scope, out: string[]): Flow {
    switch (statement.kind) {
      case 'text':
        this.#write(statement.text, out);
        return 'next';
      case 'output':
        this.#write(str(this.#value(statement.value, scope)), out);
        return 'next';
      case 'if': {
        const branch = statement.branches.find(({ test }) => truthy(this.#value(test, scope)));
        return this.#body(branch ? branch.body : statement.otherwise, scope, out);
      }
      case 'for':
        return this.#for(statement, scope, out);
      case 'set':
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return 'next';
      case 'setBlock': {
        const text = this.#text(statement.body, new Scope(scope));
        this.#assign(statement.target, this.#filtered(text, statement.filters, scope), scope);
        return 'next';
      }
      case 'macro':
        scope.set(statement.name, this.#macro(statement.name, statement.signature, statement.body, scope));
        return 'next';
      case 'callBlock': {
        const caller = this.#macro('caller', statement.signature, statement.body, scope);
        this.#write(str(this.#call(statement.call, scope, caller)), out);
        return 'next';
      }
      case 'filterBlock': {
        const text = this.#text(statement.body, new Scope(scope));
        this.#write(str(this.#filtered(text, statement.filters, scope)), out);
        return 'next';
      }
      case 'with': {
        const inner = new Scope(scope);
        const values = statement.values.map(
          ([target, value]) => [target, this.#value(value, scope)] as const,
        );
        for (const [target, value] of values) this.#assign(target, value, inner);
        return this.#body(statement.body, inner, out);
      }
      case 'scope':
        return this.#body(statement.body, new Scope(scope), out);
      case 'break':
      case 'continue':
        return statement.kind;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') {
      scope.set(target.name, value);
      return;
    }
    if (target.kind === 'field') {
      const object = scope.get(target.object);
      if (!(object instanceof Attributes) || !object.set)
        fail('cannot assign attribute on non-namespace object');
      else object.set(target.name, value);
      return;
    }
    const items = itemsOf(value);
    if (items.length !== target.items.length) {
      fail(
        items.length < target.items.length
          ? `not enough values to unpack (expected ${target.items.length}, got ${items.length})`
          : `too many values to unpack (expected ${target.items.length})`,
      );
    }
    for (const [i, each] of target.items.entries()) this.#assign(each, items[i] ?? null, scope);
  }

  #filtered(value: Value, filters: readonly FilterCall[], scope: Scope): Value {
    return filters.reduce(
      (input: Value, { name, args }) => this.filter(name, input, this.#arguments(args, scope)),
      value,
    );
  }

  #for(statement: Extract<Statement, { kind: 'for' }>, scope: Scope, out: string[]): Flow {
    this.#loop(statement, this.#value(statement.items, scope), scope, out, 0);
    return 'next';
  }

  #loop(
    statement: Extract<Statement, { kind: 'for' }>,
    over: Value,
    scope: Scope,
    out: string[],
    depth: number,
  ): void {
    let items = itemsOf(over);
    this.budget.step(items.length);
    const { filter } = statement;
    if (filter) {
      items = items.filter((item) => {
        const inner = new Scope(scope);
        this.#assign(statement.target, item, inner);
        return truthy(this.#value(filter, inner));
      });
    }
    const again = (args: readonly Value[]): Value =>
      this.budget.nested(() => {
        const inner: string[] = [];
        this.#loop(statement, args[0] ?? null, scope, inner, depth + 1);
        return inner.join('');
      });
    const state = new LoopState(items, depth, statement.recursive ? again : undefined);
    for (const item of items) {
      const inner = new Scope(scope);
      inner.set('loop', state.attributes);
      this.#assign(statement.target, item, inner);
      if (this.#body(statement.body, inner, out) === 'break') break;
      state.index++;
    }
    if (items.length === 0) this.#body(statement.otherwise, new Scope(scope), out);
  }

  #macro(name: string, { params }: MacroSignature, body: Body, scope: Scope): Callable {
    const uses = usedNames(body);
    return new Callable(name, (args, keywords) =>
      this.budget.nested(() => {
        const inner = new Scope(scope);
        const rest = new Map(keywords);
        const missing: { name: string; fallback: Expression | undefined }[] = [];
        for (const [i, param] of params.entries()) {
          const given = i < args.length ? args[i] : rest.get(param.name);
          if (i < args.length && rest.has(param.name))
            fail(`macro '${name}' got multiple values for argument '${param.name}'`);
          rest.delete(param.name);
          if (given !== undefined) inner.set(param.name, given);
          else missing.push(param);
        }
        if (!params.some((param) => param.name === 'caller')) {
          const caller = rest.get('caller');
          if (caller !== undefined && !uses.has('caller'))
            fail(
              `macro '${name}' was invoked with two values for the special caller argument. This is most likely a bug.`,
            );
          inner.set('caller', caller ?? new Undefined('No caller defined'));
          rest.delete('caller');
        }
        for (const { name: param, fallback } of missing) {
          inner.set(
            param,
            fallback ? this.#value(fallback, inner) : new Undefined(`parameter '${param}' was not provided`),
          );
        }
        if (uses.has('kwargs')) inner.set('kwargs', new Dict(rest));
        else if (rest.size > 0) fail(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
        if (uses.has('varargs')) inner.set('varargs', new Tuple(args.slice(params.length)));
        else if (args.length > params.length)
          fail(`macro '${name}' takes not more than ${params.length} argument(s)`);
        return this.#text(body, inner);
      }),
    );
  }

  #value(node: Expression, scope: Scope): Value {
    this.budget.step();
    switch (node.kind) {
      case 'constant':
        return node.value;
      case 'name':
        return orElse(scope.get(node.name), () => `'${node.name}' is undefined`);
      case 'list':
        return node.items.map((item) => this.#value(item, scope));
      case 'tuple':
        return new Tuple(node.items.map((item) => this.#value(item, scope)));
      case 'dict':
        return new Dict(
          node.entries.map(([key, value]) => [this.#value(key, scope), this.#value(value, scope)] as const),
        );
      case 'unary': {
        const operand = this.#value(node.operand, scope);
        return node.operator === 'not' ? !truthy(operand) : unary(node.operator, operand);
      }
      case 'binary':
        return binary(
          node.operator,
          this.#value(node.left, scope),
          this.#value(node.right, scope),
          this.budget,
        );
      case 'logic': {
        const left = this.#value(node.left, scope);
        return truthy(left) === (node.operator === 'and') ? this.#value(node.right, scope) : left;
      }
      case 'concat':
        return this.#concat(node.parts.map((part) => this.#value(part, scope)));
      case 'compare':
        return this.#compare(node, scope);
      case 'choice':
        if (truthy(this.#value(node.test, scope))) return this.#value(node.value, scope);
        return node.otherwise
          ? this.#value(node.otherwise, scope)
          : new Undefined('the inline if-expression evaluated to false and no else section was defined.');
      case 'attribute':
        return this.lookup(this.#value(node.object, scope), node.name, false);
      case 'item':
        return this.#item(node.object, node.key, scope);
      case 'slice':
        return fail('a slice stands for itself only between brackets');
      case 'call':
        return this.#call(node, scope);
      case 'filter':
        return this.filter(node.name, this.#value(node.input, scope), this.#arguments(node.args, scope));
      case 'test':
        return this.test(node.name, this.#value(node.input, scope), this.#arguments(node.args, scope));
    }
  }

  #concat(values: readonly Value[]): Value {
    const texts = values.map(str);
    this.budget.make(texts.reduce((sum, text) => sum + text.length, 0));
    return texts.join('');
  }

  #compare(node: Extract<Expression, { kind: 'compare' }>, scope: Scope): boolean {
    let left = this.#value(node.first, scope);
    for (const [operator, right] of node.rest) {
      const value = this.#value(right, scope);
      if (!compareBy(operator, left, value)) return false;
      left = value;
    }
    return true;
  }

  #item(object: Expression, key: Expression, scope: Scope): Value {
    const value = this.#value(object, scope);
    if (key.kind !== 'slice') return this.lookup(value, this.#value(key, scope), true);
    const part = (node: Expression | undefined): Value => (node ? this.#value(node, scope) : null);
    const slice: SliceBounds = { start: part(key.start), stop: part(key.stop), step: part(key.step) };
    if (value instanceof Undefined) return value.fail();
    return orElse(sliceOf(value, slice, this.budget), () => `${objectName(value)} has no such slice`);
  }

  lookup(value: Value, key: Value, isItem: boolean): Value {
    if (value instanceof Undefined) return value.fail();
    const name = typeof key === 'string' ? key : undefined;
    const attribute = (): Value | undefined => {
      if (name === undefined) return undefined;
      if (value instanceof Attributes) return value.get(name);
      const method = methodOf(value, name, this) ?? numberAttribute(value, name);
      return method === 'unsafe'
        ? new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`)
        : method;
    };
    const item = (): Value | undefined => (value instanceof Attributes ? undefined : itemAt(value, key));
    const [first, second] = isItem ? [item, attribute] : [attribute, item];
    const found = first();
    return orElse(
      found === undefined ? second() : found,
      () => `${objectName(value)} has no ${noSuch(value, key)}`,
    );
  }

  #arguments(args: Arguments, scope: Scope): Args {
    const positional = args.positional.map((each) => this.#value(each, scope));
    const named = new Map<string, Value>();
    for (const [name, each] of args.named) {
      if (named.has(name)) fail(`keyword argument repeated: ${name}`);
      named.set(name, this.#value(each, scope));
    }
    if (args.list) positional.push(...itemsOf(this.#value(args.list, scope)));
    if (args.dict) {
      const more = this.#value(args.dict, scope);
      if (!(more instanceof Dict)) return fail(`argument after ** must be a mapping, not ${typeName(more)}`);
      for (const [key, each] of more.entries()) named.set(str(key), each);
    }
    return new Args(positional, named);
  }

  #call(node: Extract<Expression, { kind: 'call' }>, scope: Scope, caller?: Callable): Value {
    const callee = this.#value(node.callee, scope);
    const { positional, keywords } = this.#arguments(node.args, scope);
    return this.call(callee, positional, caller ? new Map(keywords).set('caller', caller) : keywords);
  }

  call(callee: Value, args: readonly Value[], keywords: Keywords): Value {
    this.budget.step();
    if (callee instanceof Callable) return callee.call(args, keywords);
    if (callee instanceof Attributes && callee.call) return callee.call(args, keywords);
    if (callee instanceof Undefined) return callee.fail();
    return fail(`'${typeName(callee)}' object is not callable`);
  }

  filter(name: string, input: Value, args: Args): Value {
    this.budget.step();
    return filterOf(name)(input, args, this);
  }

  test(name: string, input: Value, args: Args): boolean {
    this.budget.step();
    const test = Object.hasOwn(tests, name) ? tests[name] : undefined;
    return test ? test(input, args, this) : fail(`No test named '${name}'.`);
  }
}

const orElse = (value: Value | undefined, hint: () => string): Value =>
  value === undefined ? new Undefined(hint()) : value;

const objectName = (value: Value): string =>
  value === null ? 'None' : value instanceof Dict ? "'dict object'" : `'${typeName(value)} object'`;

const noSuch = (value: Value, key: Value): string =>
  typeof key === 'string' || value instanceof Dict ? `attribute ${repr(key)}` : `element ${repr(key)}`;

/** The names that a body reads, which decide what a macro takes beyond its parameters. */
function usedNames(body: Body): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) {
      const { kind, name } = value as { kind?: unknown; name?: unknown };
      if (kind === 'name' && typeof name === 'string') names.add(name);
      Object.values(value).forEach(visit);
    }
  };
  visit(body);
  return names;
}
