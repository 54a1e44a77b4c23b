// Parsing of statements: a template becomes a body.

import type { Body, Expression, MacroSignature, Statement, Target } from './ast.ts';
import { ExpressionParser } from './expressions.ts';
import { tokenize } from './lexer.ts';
import { fail } from './values.ts';

const deepest = 100;

/** The body of a template. Fails with the line and what was expected for what is no Jinja, or needs other templates. */
export function parse(template: string): Body {
  const parser = new StatementParser(new ExpressionParser(tokenize(template)));
  return parser.body([]);
}

class StatementParser {
  readonly #tokens: ExpressionParser;
  #depth = 0;

  constructor(tokens: ExpressionParser) {
    this.#tokens = tokens;
  }

  /** Statements up to a tag of one of `ends`, whose name is the next token; all that there are without `ends`. */
  body(ends: readonly string[]): Body {
    const tokens = this.#tokens;
    if (++this.#depth > deepest) tokens.wrong(`more than ${deepest} blocks in each other`);
    const statements: Statement[] = [];
    for (let token = tokens.next(); token; token = tokens.next()) {
      if (token.type === 'data') statements.push({ kind: 'text', text: token.text });
      else if (token.text === '}}') {
        statements.push({ kind: 'output', value: tokens.tuple() });
        tokens.expect('end', '}}');
      } else {
        if (ends.some((name) => tokens.is('name', name))) {
          this.#depth--;
          return statements;
        }
        statements.push(...this.#statement());
        tokens.expect('end', '%}');
      }
    }
    if (ends.length > 0) fail(`the template ends, expected ${ends.map((name) => `'${name}'`).join(' or ')}`);
    this.#depth--;
    return statements;
  }

  #statement(): Statement[] {
    const name = this.#tokens.name();
    switch (name) {
      case 'if':
        return [this.#if()];
      case 'for':
        return [this.#for()];
      case 'set':
        return [this.#set()];
      case 'macro':
        return [this.#macro()];
      case 'call':
        return [this.#call()];
      case 'filter': {
        const filters = this.#tokens.filters(true);
        return [{ kind: 'filterBlock', filters, body: this.#inner('endfilter') }];
      }
      case 'with':
        return [this.#with()];
      case 'generation':
        return [{ kind: 'scope', body: this.#inner('endgeneration') }];
      case 'block':
        return [this.#block()];
      case 'autoescape':
        return this.#autoescape();
      case 'break':
      case 'continue':
        return [{ kind: name }];
      case 'extends':
      case 'include':
      case 'import':
      case 'from':
        return fail(`the tag '${name}' needs other templates, and a chat template has none`);
      default:
        return fail(`Encountered unknown tag '${name}'`);
    }
  }

  /** The rest of a tag, the body, and the name of the tag that ends it. */
  #inner(end: string): Body {
    this.#tokens.expect('end', '%}');
    const body = this.body([end]);
    this.#tokens.expect('name', end);
    return body;
  }

  #if(): Statement {
    const tokens = this.#tokens;
    const branches: { test: Expression; body: Body }[] = [];
    let otherwise: Body = [];
    do {
      const test = tokens.tuple(false);
      tokens.expect('end', '%}');
      branches.push({ test, body: this.body(['elif', 'else', 'endif']) });
    } while (tokens.skip('name', 'elif'));
    if (tokens.skip('name', 'else')) {
      tokens.expect('end', '%}');
      otherwise = this.body(['endif']);
    }
    tokens.expect('name', 'endif');
    return { kind: 'if', branches, otherwise };
  }

  #for(): Statement {
    const tokens = this.#tokens;
    const target = this.#target(() => tokens.is('name', 'in'), false);
    tokens.expect('name', 'in');
    const items = tokens.tuple(false, () => tokens.is('name', 'recursive'));
    const filter = tokens.skip('name', 'if') ? tokens.expression() : undefined;
    const recursive = tokens.skip('name', 'recursive');
    tokens.expect('end', '%}');
    const body = this.body(['endfor', 'else']);
    let otherwise: Body = [];
    if (tokens.skip('name', 'else')) {
      tokens.expect('end', '%}');
      otherwise = this.body(['endfor']);
    }
    tokens.expect('name', 'endfor');
    return { kind: 'for', target, items, filter, recursive, body, otherwise };
  }

  #set(): Statement {
    const tokens = this.#tokens;
    const target = this.#target(() => tokens.is('operator', '='), true);
    if (tokens.skip('operator', '=')) return { kind: 'set', target, value: tokens.tuple() };
    const filters = [];
    while (tokens.is('operator', '|')) filters.push(...tokens.filters(false));
    return { kind: 'setBlock', target, filters, body: this.#inner('endset') };
  }

  /** Names with commas between, perhaps in parentheses; with `fields`, `name.field` too. */
  #target(ends: () => boolean, fields: boolean): Target {
    const tokens = this.#tokens;
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (items.length > 0 && (ends() || tokens.is('end', '%}'))) break;
      if (tokens.skip('operator', '(')) {
        items.push(this.#target(() => tokens.is('operator', ')'), false));
        tokens.expect('operator', ')');
      } else {
        const name = tokens.name();
        if (reserved.has(name)) fail(`can't assign to '${name}'`);
        items.push(
          fields && tokens.skip('operator', '.')
            ? { kind: 'field', object: name, name: tokens.name() }
            : { kind: 'name', name },
        );
      }
      isTuple ||= tokens.is('operator', ',');
    } while (tokens.skip('operator', ','));
    const [only] = items;
    return !isTuple && only ? only : { kind: 'tuple', items };
  }

  #signature(): MacroSignature {
    const tokens = this.#tokens;
    const params: { name: string; fallback: Expression | undefined }[] = [];
    tokens.expect('operator', '(');
    while (!tokens.skip('operator', ')')) {
      if (params.length > 0) tokens.expect('operator', ',');
      if (tokens.skip('operator', ')')) break;
      const name = tokens.name();
      const fallback = tokens.skip('operator', '=') ? tokens.expression() : undefined;
      if (!fallback && params.some((param) => param.fallback))
        tokens.wrong('non-default argument follows default argument');
      params.push({ name, fallback });
    }
    return { params };
  }

  #macro(): Statement {
    const name = this.#tokens.name();
    const signature = this.#signature();
    return { kind: 'macro', name, signature, body: this.#inner('endmacro') };
  }

  #call(): Statement {
    const tokens = this.#tokens;
    const signature = tokens.is('operator', '(') ? this.#signature() : { params: [] };
    const call = tokens.expression();
    if (call.kind !== 'call') return tokens.wrong('expected call');
    return { kind: 'callBlock', call, signature, body: this.#inner('endcall') };
  }

  #with(): Statement {
    const tokens = this.#tokens;
    const values: [Target, Expression][] = [];
    while (!tokens.is('end', '%}')) {
      if (values.length > 0) tokens.expect('operator', ',');
      const target = this.#target(() => true, false);
      tokens.expect('operator', '=');
      values.push([target, tokens.expression()]);
    }
    return { kind: 'with', values, body: this.#inner('endwith') };
  }

  #block(): Statement {
    const tokens = this.#tokens;
    const name = tokens.name();
    tokens.skip('name', 'scoped');
    tokens.skip('name', 'required');
    const body = this.#inner('endblock');
    tokens.skip('name', name);
    return { kind: 'scope', body };
  }

  #autoescape(): Statement[] {
    const value = this.#tokens.expression();
    if (value.kind !== 'constant' || value.value === true)
      fail('the tag autoescape is supported with false only');
    return [{ kind: 'scope', body: this.#inner('endautoescape') }];
  }
}

const reserved = new Set(['true', 'false', 'none', 'True', 'False', 'None']);
