// Parsing of expressions, with Jinja2's precedence.
// https://github.com/pallets/jinja/blob/main/src/jinja2/parser.py

import type { Arguments, BinaryOperator, CompareOperator, Expression, FilterCall } from './ast.ts';
import type { Token } from './lexer.ts';
import { fail } from './values.ts';

const noArguments: Arguments = { positional: [], named: [], list: undefined, dict: undefined };
const deepest = 200;

/** Reads tokens front to back. */
export class ExpressionParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token | undefined {
    return this.#tokens[this.#at];
  }

  next(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  is(type: 'name' | 'operator' | 'end' | 'begin', text: string, ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token?.type === type && token.text === text;
  }

  skip(type: 'name' | 'operator' | 'end', text: string): boolean {
    const found = this.is(type, text);
    if (found) this.#at++;
    return found;
  }

  expect(type: 'name' | 'operator' | 'end', text: string): void {
    if (!this.skip(type, text)) this.wrong(`expected '${text}'`);
  }

  name(): string {
    const token = this.current;
    if (token?.type !== 'name') return this.wrong('expected a name');
    this.#at++;
    return token.text;
  }

  wrong(problem: string): never {
    const token = this.current;
    const found = token ? `found '${token.text.slice(0, 40)}'` : 'the template ends';
    return fail(`${problem}, ${found} (line ${token?.line ?? this.#tokens.at(-1)?.line ?? 1})`);
  }

  /** An expression, or several with commas between: a tuple. */
  tuple(withCondition = true, ends: (parser: this) => boolean = () => false): Expression {
    return this.#tuple(withCondition, ends, false);
  }

  #tuple(withCondition: boolean, ends: (parser: this) => boolean, parenthesised: boolean): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0 && !this.skip('operator', ',')) break;
      if (items.length > 0) isTuple = true;
      if (this.#tupleEnds() || ends(this)) break;
      items.push(withCondition ? this.expression() : this.#or());
    }
    const [only] = items;
    if (!isTuple && only) return only;
    if (items.length === 0 && !parenthesised) this.wrong('expected an expression');
    return { kind: 'tuple', items };
  }

  #tupleEnds(): boolean {
    return this.current === undefined || this.current.type === 'end' || this.is('operator', ')');
  }

  expression(): Expression {
    if (this.#depth >= deepest) this.wrong(`more than ${deepest} expressions in each other`);
    this.#depth++;
    let value = this.#or();
    while (this.skip('name', 'if')) {
      const test = this.#or();
      const otherwise = this.skip('name', 'else') ? this.expression() : undefined;
      value = { kind: 'choice', test, value, otherwise };
    }
    this.#depth--;
    return value;
  }

  /** An expression without `… if …`, as before a loop's filter. */
  withoutCondition(): Expression {
    return this.#or();
  }

  #or(): Expression {
    let left = this.#and();
    while (this.skip('name', 'or')) left = { kind: 'logic', operator: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skip('name', 'and')) left = { kind: 'logic', operator: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    let count = 0;
    while (this.skip('name', 'not')) count++;
    let operand = this.#compare();
    for (; count > 0; count--) operand = { kind: 'unary', operator: 'not', operand };
    return operand;
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: [CompareOperator, Expression][] = [];
    for (let operator = this.#comparison(); operator; operator = this.#comparison())
      rest.push([operator, this.#sum()]);
    return rest.length === 0 ? first : { kind: 'compare', first, rest };
  }

  #comparison(): CompareOperator | undefined {
    if (this.skip('name', 'in')) return 'in';
    if (this.is('name', 'not') && this.is('name', 'in', 1)) {
      this.#at += 2;
      return 'not in';
    }
    return (['==', '!=', '<=', '>=', '<', '>'] as const).find((text) => this.skip('operator', text));
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const first = this.#product();
    const parts = [first];
    while (this.skip('operator', '~')) parts.push(this.#product());
    return parts.length === 1 ? first : { kind: 'concat', parts };
  }

  #product(): Expression {
    return this.#binary(['*', '/', '//', '%'], () => this.#power());
  }

  #power(): Expression {
    return this.#binary(['**'], () => this.#unary(true));
  }

  #binary(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((text) => this.skip('operator', text));
      if (!operator) return left;
      left = { kind: 'binary', operator, left, right: operand() };
    }
  }

  #unary(withFilter: boolean): Expression {
    const sign = (['-', '+'] as const).find((text) => this.skip('operator', text));
    const inner: Expression = sign ? this.#signed(sign) : this.#primary();
    const value = this.#postfix(inner);
    return withFilter ? this.#filtered(value) : value;
  }

  #signed(operator: '-' | '+'): Expression {
    if (this.#depth >= deepest) this.wrong(`more than ${deepest} signs in each other`);
    this.#depth++;
    const operand = this.#unary(false);
    this.#depth--;
    return { kind: 'unary', operator, operand };
  }

  #primary(): Expression {
    const token = this.next();
    switch (token?.type) {
      case 'name':
        return constants.has(token.text)
          ? { kind: 'constant', value: constants.get(token.text) ?? null }
          : { kind: 'name', name: token.text };
      case 'integer':
      case 'float':
        return { kind: 'constant', value: token.value };
      case 'string': {
        let value = token.text;
        while (this.current?.type === 'string') value += this.next()?.text ?? '';
        return { kind: 'constant', value };
      }
      case 'operator':
        if (token.text === '(') {
          const inner = this.#tuple(true, () => false, true);
          this.expect('operator', ')');
          return inner;
        }
        if (token.text === '[') return { kind: 'list', items: this.#listItems() };
        if (token.text === '{') return { kind: 'dict', entries: this.#dictEntries() };
    }
    this.#at--;
    return this.wrong('expected an expression');
  }

  #listItems(): Expression[] {
    const items: Expression[] = [];
    while (!this.skip('operator', ']')) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.skip('operator', ']')) break;
      items.push(this.expression());
    }
    return items;
  }

  #dictEntries(): (readonly [Expression, Expression])[] {
    const entries: (readonly [Expression, Expression])[] = [];
    while (!this.skip('operator', '}')) {
      if (entries.length > 0) this.expect('operator', ',');
      if (this.skip('operator', '}')) break;
      const key = this.expression();
      this.expect('operator', ':');
      entries.push([key, this.expression()]);
    }
    return entries;
  }

  #postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.skip('operator', '.')) value = this.#afterDot(value);
      else if (this.skip('operator', '[')) value = { kind: 'item', object: value, key: this.#subscript() };
      else if (this.is('operator', '(')) value = { kind: 'call', callee: value, args: this.arguments() };
      else return value;
    }
  }

  #afterDot(object: Expression): Expression {
    const token = this.next();
    if (token?.type === 'name') return { kind: 'attribute', object, name: token.text };
    if (token?.type === 'integer')
      return { kind: 'item', object, key: { kind: 'constant', value: token.value } };
    this.#at--;
    return this.wrong('expected name or number');
  }

  #subscript(): Expression {
    const items: Expression[] = [];
    let commas = 0;
    while (!this.is('operator', ']')) {
      if (items.length > 0) {
        this.expect('operator', ',');
        commas++;
      }
      items.push(this.#subscribed());
    }
    this.expect('operator', ']');
    const [only] = items;
    if (only && commas === 0) return only;
    return items.length > 0 ? { kind: 'tuple', items } : this.wrong('expected a key between brackets');
  }

  #subscribed(): Expression {
    const ends = (): boolean =>
      this.is('operator', ':') || this.is('operator', ']') || this.is('operator', ',');
    const start = ends() ? undefined : this.expression();
    if (start && !this.is('operator', ':')) return start;
    this.expect('operator', ':');
    const stop = ends() ? undefined : this.expression();
    const step = this.skip('operator', ':') && !ends() ? this.expression() : undefined;
    return { kind: 'slice', start, stop, step };
  }

  #filtered(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.is('operator', '|')) {
        const [call] = this.filters(false);
        if (call) value = { kind: 'filter', input: value, ...call };
      } else if (this.skip('name', 'is')) value = this.#test(value);
      else if (this.is('operator', '(')) value = { kind: 'call', callee: value, args: this.arguments() };
      else return value;
    }
  }

  /** `name|name(…)|…`; with `inline`, the first name has no bar before it. */
  filters(inline: boolean): FilterCall[] {
    const calls: FilterCall[] = [];
    while (this.is('operator', '|') || (inline && calls.length === 0)) {
      this.skip('operator', '|');
      const name = this.#dotted();
      calls.push({ name, args: this.is('operator', '(') ? this.arguments() : noArguments });
      if (!inline) break;
    }
    return calls;
  }

  #dotted(): string {
    let name = this.name();
    while (this.skip('operator', '.')) name += `.${this.name()}`;
    return name;
  }

  #test(input: Expression): Expression {
    const negated = this.skip('name', 'not');
    const test: Expression = { kind: 'test', input, name: this.#dotted(), args: this.#testArguments() };
    return negated ? { kind: 'unary', operator: 'not', operand: test } : test;
  }

  #testArguments(): Arguments {
    if (this.is('operator', '(')) return this.arguments();
    const token = this.current;
    const begins =
      token?.type === 'name' ||
      token?.type === 'string' ||
      token?.type === 'integer' ||
      token?.type === 'float'
        ? !(token.type === 'name' && ['else', 'or', 'and'].includes(token.text))
        : token?.type === 'operator' && ['[', '{'].includes(token.text);
    if (!begins) return noArguments;
    if (this.is('name', 'is')) this.wrong('You cannot chain multiple tests with is');
    return { ...noArguments, positional: [this.#postfix(this.#primary())] };
  }

  arguments(): Arguments {
    this.expect('operator', '(');
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let dict: Expression | undefined;
    for (let first = true; !this.is('operator', ')'); first = false) {
      if (!first) this.expect('operator', ',');
      if (this.is('operator', ')')) break;
      if (this.skip('operator', '**')) dict = this.expression();
      else if (this.skip('operator', '*')) list = this.expression();
      else if (this.current?.type === 'name' && this.is('operator', '=', 1)) {
        const name = this.name();
        this.#at++;
        named.push([name, this.expression()]);
      } else {
        if (named.length > 0 || dict) this.wrong('invalid syntax for function call expression');
        positional.push(this.expression());
      }
    }
    this.expect('operator', ')');
    return { positional, named, list, dict };
  }
}

const constants: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);
