// Grammars in EBNF: `name ::= "text" [a-z]+ (other | "x"){2,3}`, one or more rules, `#` begins a comment.

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, character, union, without } from './code-points.ts';
import type { Work } from './patience.ts';
import {
  alt,
  call,
  literal,
  nullable,
  type Ranges,
  type Rule,
  repeat,
  rule,
  seq,
  type Term,
} from './term.ts';

/**
 * The texts of rule `root`.
 * @throws IngotError `invalid_argument`, with line and column, for what cannot be read, for a rule that does not exist, and
 *   for one that begins with itself.
 */
export function* grammarText(source: string, root = 'root'): Work<Term> {
  if (source.length > maxSource) {
    const problem = `a grammar may have ${maxSource} characters, and this one has ${source.length}`;
    throw new IngotError('invalid_argument', problem);
  }
  const parser = new Parser(source);
  const rules = yield* parser.parse();
  const start = rules.get(root);
  if (!start) throw new IngotError('invalid_argument', `the grammar has no rule "${root}" to start from`);
  yield* checkLeft([...rules.values()]);
  return call(start);
}

/** Every rule must read something before it comes back to itself. */
function* checkLeft(rules: readonly Rule[]): Work<void> {
  const empty = yield* emptyRules(rules);
  const begins = new Map<Rule, readonly Rule[]>();
  for (const each of rules) {
    begins.set(each, [...firstRules(each.term, empty)]);
    yield;
  }
  const done = new Set<Rule>();
  for (const start of rules) {
    // The rules on the way to the present one, each with those that it may begin with and are still to be looked at.
    const way: { readonly rule: Rule; readonly left: Rule[] }[] = [];
    const open = new Set<Rule>();
    const enter = (rule: Rule): void => {
      if (open.has(rule)) {
        throw new IngotError(
          'invalid_argument',
          `rule "${rule.name}" begins with itself: write the repetition to its right`,
          { details: { rule: rule.name } },
        );
      }
      if (done.has(rule)) return;
      open.add(rule);
      way.push({ rule, left: [...(begins.get(rule) ?? [])] });
    };
    enter(start);
    for (let at = way.at(-1); at !== undefined; at = way.at(-1)) {
      const next = at.left.pop();
      if (next) enter(next);
      else {
        way.pop();
        open.delete(at.rule);
        done.add(at.rule);
      }
    }
    yield;
  }
}

/** The rules that may read nothing. */
function* emptyRules(rules: readonly Rule[]): Work<ReadonlySet<Rule>> {
  const found = new Set<Rule>();
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const each of rules) if (!found.has(each) && isNullable(each.term, found)) found.add(each);
    yield;
  }
  return found;
}

/** Whether a term may read nothing, where these rules may. */
function isNullable(term: Term, empty: ReadonlySet<Rule>): boolean {
  switch (term.kind) {
    case 'rule':
      return empty.has(term.rule);
    case 'seq':
      return isNullable(term.first, empty) && isNullable(term.second, empty);
    case 'alt':
      return term.options.some((option) => isNullable(option, empty));
    case 'repeat':
      return term.min === 0 || isNullable(term.part, empty);
    default:
      return nullable(term);
  }
}

/** The rules that a text of a term may begin with. */
function firstRules(term: Term, empty: ReadonlySet<Rule>): ReadonlySet<Rule> {
  const found = new Set<Rule>();
  const todo = [term];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (next.kind === 'rule') found.add(next.rule);
    if (next.kind === 'alt') todo.push(...next.options);
    if (next.kind === 'repeat') todo.push(next.part);
    if (next.kind === 'seq') {
      todo.push(next.first);
      if (isNullable(next.first, empty)) todo.push(next.second);
    }
  }
  return found;
}

const name = /[A-Za-z_][\w-]*/y;
const blank = /(?:\s|#[^\n]*)*/y;
const maxDepth = 200;
/** Characters of a grammar. */
const maxSource = 200_000;

class Parser {
  readonly #source: string;
  readonly #rules = new Map<string, Rule>();
  readonly #defined = new Set<string>();
  readonly #mentioned = new Map<string, number>();
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  *parse(): Work<ReadonlyMap<string, Rule>> {
    this.#match(blank);
    while (this.#at < this.#source.length) {
      this.#rule();
      yield;
    }
    for (const [mentioned, at] of this.#mentioned) {
      if (!this.#defined.has(mentioned)) throw this.#wrong(`there is no rule "${mentioned}"`, at);
    }
    return this.#rules;
  }

  #rule(): void {
    const title = this.#match(name);
    if (title === undefined) throw this.#wrong('expected the name of a rule');
    if (this.#defined.has(title)) throw this.#wrong(`rule "${title}" is there already`);
    this.#match(blank);
    if (!this.#take('::=')) throw this.#wrong(`expected "::=" after "${title}"`);
    this.#match(blank);
    this.#defined.add(title);
    this.#ruleOf(title).term = this.#alternatives();
  }

  #ruleOf(title: string): Rule {
    let known = this.#rules.get(title);
    if (!known) {
      known = rule(title);
      this.#rules.set(title, known);
    }
    return known;
  }

  #alternatives(): Term {
    if (++this.#depth > maxDepth) throw this.#wrong(`groups are nested deeper than ${maxDepth}`);
    const options = [this.#sequence()];
    while (this.#take('|')) {
      this.#match(blank);
      options.push(this.#sequence());
    }
    this.#depth--;
    return alt(...options);
  }

  #sequence(): Term {
    const parts: Term[] = [];
    for (let part = this.#part(); part !== undefined; part = this.#part()) parts.push(this.#repeated(part));
    return seq(...parts);
  }

  #part(): Term | undefined {
    const start = this.#at;
    const c = this.#source[this.#at];
    if (c === '"' || c === "'") return this.#string(c);
    if (c === '[') return this.#class();
    if (this.#take('(')) {
      this.#match(blank);
      const inner = this.#alternatives();
      if (!this.#take(')')) throw this.#wrong('a group is not closed');
      return inner;
    }
    const title = this.#match(name);
    if (title === undefined) return undefined;
    const next = this.#at;
    this.#match(blank);
    if (this.#source.startsWith('::=', this.#at)) {
      this.#at = start; // the next rule begins here
      return undefined;
    }
    this.#at = next;
    if (!this.#mentioned.has(title)) this.#mentioned.set(title, start);
    return call(this.#ruleOf(title));
  }

  #repeated(part: Term): Term {
    const bounds = this.#match(/[*+?]|\{\s*\d+\s*(?:,\s*\d*\s*)?\}/y);
    this.#match(blank);
    if (bounds === undefined) return part;
    if (bounds === '*') return repeat(part);
    if (bounds === '+') return repeat(part, 1);
    if (bounds === '?') return repeat(part, 0, 1);
    const [min = '', max] = bounds.slice(1, -1).split(',');
    const from = Number(min);
    const to = max === undefined ? from : max.trim() === '' ? Number.POSITIVE_INFINITY : Number(max);
    if (to < from) throw this.#wrong(`${bounds} ends before it begins`);
    return repeat(part, from, to);
  }

  #string(quote: string): Term {
    this.#at++;
    let text = '';
    while (!this.#take(quote)) text += String.fromCodePoint(this.#character());
    return literal(text);
  }

  #class(): Term {
    this.#at++;
    const negated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const low = this.#character();
      const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      const high = isRange ? this.#character() : low;
      if (high < low) throw this.#wrong('a range ends before it begins');
      ranges.push([low, high]);
    }
    const set: Ranges = union(ranges);
    return character(negated ? without(anyCodePoint, set) : set);
  }

  #character(): number {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined || code === 10) throw this.#wrong('a text or a class is not closed');
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return code;
    const escaped = this.#match(/x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[\s\S]/uy) ?? '';
    const simple: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, b: 8, v: 11, '0': 0 };
    if (escaped.length > 2) return Number.parseInt(escaped.slice(1), 16);
    if (/^[A-Za-z0-9]$/.test(escaped) && simple[escaped] === undefined)
      throw this.#wrong(`"\\${escaped}" is no escape`);
    return simple[escaped] ?? escaped.codePointAt(0) ?? 0;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #wrong(what: string, at = this.#at): IngotError {
    const before = this.#source.slice(0, at).split('\n');
    const line = before.length;
    const column = (before.at(-1)?.length ?? 0) + 1;
    return new IngotError(
      'invalid_argument',
      `the grammar is wrong in line ${line}, column ${column}: ${what}`,
      {
        details: { line, column },
      },
    );
  }
}
