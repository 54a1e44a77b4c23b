// Kernel sources to trees: statements (`let`, `fn`), then one expression or `{ name: expression, … }`. Operators by
// precedence climbing, in WGSL's signs and C's order.

import { fail, type Source } from './errors.ts';
import type { Binding, Helper, ParsedKernel, Syntax } from './syntax.ts';
import { type Token, tokenise } from './tokens.ts';

/** Binding strength of binary signs: a higher one binds closer. */
const strength: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '<=': 7,
  '>': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

const words = new Set(['let', 'fn', 'true', 'false']);

/** Deepest nesting: the stack holds it. */
const maxDepth = 200;

/** Throws invalid_argument at the character where the text stops being a kernel. */
export function parseKernel(source: Source): ParsedKernel {
  return new Parser(source).kernel();
}

class Parser {
  readonly #source: Source;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#tokens = tokenise(source);
  }

  kernel(): ParsedKernel {
    const bindings: Binding[] = [];
    const helpers = new Map<string, Helper>();
    for (;;) {
      if (this.#isWord('let')) bindings.push(this.#binding());
      else if (this.#isWord('fn')) {
        const helper = this.#helper();
        if (helpers.has(helper.name)) this.#fail(helper.at, `the function '${helper.name}' is defined twice`);
        helpers.set(helper.name, helper);
      } else break;
    }
    const { kind, at: start } = this.#token;
    if (kind === 'end') this.#fail(start, 'an expression is missing: what is the result?');
    const results = this.#isSign('{') ? this.#record() : [{ name: undefined, value: this.#expression(0) }];
    if (this.#isSign(';')) this.#next++;
    const rest = this.#token;
    if (rest.kind !== 'end') this.#fail(rest.at, `unexpected '${rest.text}' after the expression`);
    return { bindings, helpers, results };
  }

  #binding(): Binding {
    this.#next++;
    const { text: name, at } = this.#name('the name of a value');
    this.#expect('=', `after 'let ${name}'`);
    const value = this.#expression(0);
    this.#expect(';', `after the value of '${name}'`);
    return { name, value, at };
  }

  #helper(): Helper {
    this.#next++;
    const { text: name, at } = this.#name('the name of a function');
    this.#expect('(', `after 'fn ${name}'`);
    const params: string[] = [];
    while (!this.#isSign(')')) {
      const param = this.#name('the name of a parameter');
      if (params.includes(param.text)) this.#fail(param.at, `the parameter '${param.text}' is there twice`);
      params.push(param.text);
      if (!this.#isSign(')')) this.#expect(',', 'between parameters');
    }
    this.#next++;
    this.#expect('=', `after the parameters of '${name}'`);
    const body = this.#expression(0);
    this.#expect(';', `after the body of '${name}'`);
    return { name, params, body, at };
  }

  #record(): ParsedKernel['results'] {
    this.#next++;
    const results: { name: string; value: Syntax }[] = [];
    while (!this.#isSign('}')) {
      const { text: name, at } = this.#name('the name of a result');
      if (results.some((r) => r.name === name)) this.#fail(at, `the result '${name}' is there twice`);
      this.#expect(':', `after the result's name '${name}'`);
      results.push({ name, value: this.#expression(0) });
      if (!this.#isSign('}')) this.#expect(',', 'between results');
    }
    if (results.length === 0) this.#fail(this.#token.at, 'a kernel needs a result: { name: expression }');
    this.#next++;
    return results;
  }

  /** An expression whose binary signs bind at least as close as `least`; 0 takes choices as well. */
  #expression(least: number): Syntax {
    if (++this.#depth > maxDepth) {
      this.#fail(this.#token.at, `more than ${maxDepth} levels of nesting: name parts of it with let`);
    }
    let left = this.#unary();
    for (;;) {
      const { text: sign, at, kind } = this.#token;
      const own = kind === 'sign' ? strength[sign] : undefined;
      if (own === undefined || own < least) break;
      this.#next++;
      left = { node: 'binary', sign, a: left, b: this.#expression(own + 1), at };
    }
    if (least === 0 && this.#isSign('?')) {
      const { at } = this.#token;
      this.#next++;
      const yes = this.#expression(0);
      this.#expect(':', 'between the two values of ?');
      left = { node: 'choice', condition: left, yes, no: this.#expression(0), at };
    }
    this.#depth--;
    return left;
  }

  #unary(): Syntax {
    const { text: sign, at, kind } = this.#token;
    if (kind !== 'sign' || !['-', '+', '!', '~'].includes(sign)) return this.#primary();
    this.#next++;
    if (++this.#depth > maxDepth) this.#fail(at, `more than ${maxDepth} signs in a row`);
    const x = this.#unary();
    this.#depth--;
    return sign === '+' ? x : { node: 'unary', sign, x, at };
  }

  #primary(): Syntax {
    const token = this.#token;
    const { kind, text, at } = token;
    if (kind === 'number') {
      this.#next++;
      return { node: 'number', text, at };
    }
    if (kind === 'name' && (text === 'true' || text === 'false')) {
      this.#next++;
      return { node: 'truth', value: text === 'true', at };
    }
    if (kind === 'name' && !words.has(text)) {
      this.#next++;
      return this.#isSign('(') ? this.#call(token) : { node: 'name', name: text, at };
    }
    if (this.#isSign('(')) {
      this.#next++;
      const inner = this.#expression(0);
      this.#expect(')', `to close the parenthesis of column ${at + 1}`);
      return inner;
    }
    const found = kind === 'end' ? 'the end' : `'${text}'`;
    const hint = text === '*' ? ': a power is pow(x, y)' : '';
    this.#fail(at, `expected a value, found ${found}${hint}`);
  }

  #call({ text: name, at }: Token): Syntax {
    this.#next++;
    const args: Syntax[] = [];
    while (!this.#isSign(')')) {
      args.push(this.#expression(0));
      if (!this.#isSign(')')) this.#expect(',', `between the arguments of '${name}', or ) to close it`);
    }
    this.#next++;
    return { node: 'call', name, args, at };
  }

  get #token(): Token {
    return this.#tokens[this.#next] as Token;
  }

  #isSign(sign: string): boolean {
    return this.#token.kind === 'sign' && this.#token.text === sign;
  }

  #isWord(word: string): boolean {
    return this.#token.kind === 'name' && this.#token.text === word;
  }

  #name(what: string): Token {
    const token = this.#token;
    if (token.kind !== 'name' || words.has(token.text) || token.text.includes('.')) {
      this.#fail(token.at, `expected ${what}, found ${token.kind === 'end' ? 'the end' : `'${token.text}'`}`);
    }
    this.#next++;
    return token;
  }

  #expect(sign: string, where: string): void {
    if (!this.#isSign(sign)) {
      const found = this.#token.kind === 'end' ? 'the end' : `'${this.#token.text}'`;
      this.#fail(this.#token.at, `expected '${sign}' ${where}, found ${found}`);
    }
    this.#next++;
  }

  #fail(at: number, problem: string): never {
    return fail(this.#source, at, problem);
  }
}
