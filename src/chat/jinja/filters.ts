// Filters of Jinja2 on single values and texts; those on lists are in list-filters.ts.
// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters

import { type Args, integer, type Runtime, soft, text } from './arguments.ts';
import { fixed, formatPercent } from './format.ts';
import { dumps } from './json.ts';
import { listFilters } from './list-filters.ts';
import { capitalized, collapseSpaces, replaced } from './methods.ts';
import { size, unary } from './operators.ts';
import { escapeHtml, lengthOf, lineEnds, spaces, str, strip } from './text.ts';
import {
  Dict,
  fail,
  isNumber,
  Markup,
  numeric,
  Tuple,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

export type Filter = (input: Value, args: Args, runtime: Runtime) => Value;

const words = /[\p{L}\p{N}\p{M}\p{Pc}]+/gu;

/** Keeps a text that needs no more escaping what it is. */
const onText =
  (change: (value: string, args: Args, runtime: Runtime) => string): Filter =>
  (input, args, runtime) => {
    const made = change(soft(input), args, runtime);
    return input instanceof Markup ? new Markup(made) : made;
  };

const singleFilters: Readonly<Record<string, Filter>> = {
  abs(input) {
    if (!isNumber(input)) return fail(`bad operand type for abs(): '${typeName(input)}'`);
    const value = numeric(input);
    return value < 0 ? unary('-', value) : typeof value === 'number' ? Math.abs(value) : value;
  },
  capitalize: onText((value) => capitalized(value)),
  lower: onText((value) => value.toLowerCase()),
  upper: onText((value) => value.toUpperCase()),
  title: onText((value) =>
    value.replace(new RegExp(`[^-${spaces}({\\[<]+`, 'gu'), (word) => capitalizedWord(word)),
  ),
  trim: onText((value, args) => {
    const chars = args.take('trim', 'chars')[0];
    return strip(
      value,
      chars === undefined || chars === null ? undefined : text(chars, '', 'chars'),
      true,
      true,
    );
  }),
  center: onText((value, args, { budget }) => {
    const width = integer(args.take('center', 'width')[0], 80);
    const room = Math.max(0, width - lengthOf(value));
    budget.make(room);
    const left = Math.floor(room / 2) + (room & width & 1);
    return ' '.repeat(left) + value + ' '.repeat(room - left);
  }),
  replace: onText((value, args, runtime) => {
    const [from, to, count] = args.take('replace', 'old', 'new', 'count');
    const most = count === undefined || count === null ? -1 : integer(count, -1);
    return replaced(value, soft(from ?? null), soft(to ?? null), most, runtime);
  }),
  string: (input) => (input instanceof Markup ? input : str(input)),
  safe: (input) => (input instanceof Markup ? input : new Markup(str(input))),
  escape: (input) => (input instanceof Markup ? input : new Markup(escapeHtml(str(input)))),
  forceescape: (input) => new Markup(escapeHtml(str(input))),
  striptags: (input) =>
    unescapeHtml(
      collapseSpaces(
        str(input)
          .replace(/<!--[\s\S]*?-->/g, '')
          .replace(/<[^>]*>/g, ''),
      ),
    ),
  length: (input) => BigInt(size(input)),
  wordcount: (input) => BigInt(soft(input).match(words)?.length ?? 0),
  default(input, args) {
    const [otherwise = '', ifFalse = false] = args.take('default', 'default_value', 'boolean');
    if (input instanceof Undefined) return otherwise;
    return truthy(ifFalse) && !truthy(input) ? otherwise : input;
  },
  int(input, args) {
    const [otherwise = 0n, base] = args.take('int', 'default', 'base');
    return toInteger(input, integer(base, 10)) ?? otherwise;
  },
  float(input, args) {
    const [otherwise = 0] = args.take('float', 'default');
    return toFloat(input) ?? otherwise;
  },
  round(input, args) {
    const [digits, method = 'common'] = args.take('round', 'precision', 'method');
    return rounded(input, integer(digits, 0), method);
  },
  format(input, args, { budget }) {
    if (args.positional.length > 0 && args.keywords.size > 0)
      fail("can't handle positional and keyword arguments at the same time");
    const value = args.keywords.size > 0 ? new Dict(args.keywords) : new Tuple(args.positional);
    return formatPercent(soft(input), value, budget);
  },
  tojson(input, args, { budget }) {
    const [ascii = false, indent, separators, sort = false] = args.take(
      'tojson',
      'ensure_ascii',
      'indent',
      'separators',
      'sort_keys',
    );
    const pretty = indent !== undefined && indent !== null;
    return dumps(
      input,
      {
        ascii: truthy(ascii),
        indent: pretty ? indentText(indent, budget) : undefined,
        separators: separatorsOf(separators, pretty),
        sortKeys: truthy(sort),
      },
      budget,
    );
  },
  indent(input, args, { budget }) {
    const [width = 4n, first = false, blank = false] = args.take('indent', 'width', 'first', 'blank');
    const margin = typeof width === 'string' ? width : ' '.repeat(bounded(integer(width, 4), budget));
    const [head = '', ...lines] = `${soft(input)}\n`.split(lineEnds).slice(0, -1);
    budget.make((lines.length + 1) * margin.length);
    const made = [head, ...lines.map((line) => (line !== '' || truthy(blank) ? margin + line : line))].join(
      '\n',
    );
    return truthy(first) ? margin + made : made;
  },
  truncate(input, args) {
    const [length, kill = false, end = '...', leeway] = args.take(
      'truncate',
      'length',
      'killwords',
      'end',
      'leeway',
    );
    const most = integer(length, 255);
    const tail = soft(end);
    const fits = most + (leeway === undefined || leeway === null ? 5 : integer(leeway, 5));
    if (typeof input !== 'string' && !(input instanceof Markup || input instanceof Undefined))
      fail(`truncate cuts texts, not ${typeName(input)}`);
    const chars = [...soft(input)];
    if (chars.length <= fits) return chars.join('');
    const kept = chars.slice(0, Math.max(0, most - lengthOf(tail))).join('');
    if (truthy(kill)) return kept + tail;
    const space = kept.lastIndexOf(' ');
    return (space < 0 ? kept : kept.slice(0, space)) + tail;
  },
  urlencode(input) {
    const quote = (value: Value, slash: string): string =>
      encodeURIComponent(str(value))
        .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
        .replaceAll('%2F', slash);
    if (typeof input === 'string' || isNumber(input) || input === null) return quote(input, '/');
    const pairs =
      input instanceof Dict
        ? input.entries().map((entry) => new Tuple(entry))
        : Array.isArray(input)
          ? input
          : fail('urlencode needs a text, a dict or a list of pairs');
    return pairs
      .map((pair) =>
        pair instanceof Tuple || Array.isArray(pair)
          ? (pair instanceof Tuple ? pair.items : pair)
              .map((each) => quote(each, '%2F').replaceAll('%20', '+'))
              .join('=')
          : fail('urlencode needs pairs'),
      )
      .join('&');
  },
  filesizeformat(input, args) {
    const binary = truthy(args.take('filesizeformat', 'binary')[0] ?? false);
    const bytes = toFloat(input) ?? 0;
    const base = binary ? 1024 : 1000;
    if (bytes === 1) return '1 Byte';
    if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
    const units = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
    const power = Math.min(units.length, Math.floor(Math.log(bytes) / Math.log(base)));
    const unit = units[power - 1] ?? '';
    return `${fixed(bytes / base ** power, 1)} ${binary ? `${unit.replace('k', 'K')}iB` : `${unit}B`}`;
  },
  attr(input, args, runtime) {
    const name = text(args.take('attr', 'name')[0], '', 'attribute name');
    // Attributes only: keys are not looked at.
    return input instanceof Dict && !(name in { keys: 1, values: 1, items: 1, get: 1, copy: 1 })
      ? new Undefined(`'dict object' has no attribute '${name}'`)
      : runtime.lookup(input, name, false);
  },
  items(input) {
    if (input instanceof Undefined) return [];
    if (!(input instanceof Dict)) return fail('Can only get item pairs from a mapping.');
    return input.entries().map((entry) => new Tuple(entry));
  },
};

const aliases: Readonly<Record<string, string>> = { d: 'default', e: 'escape', count: 'length' };

const refused = new Set(['random', 'pprint', 'urlize', 'wordwrap', 'xmlattr']);

/** The filter of a name. Fails for one that Jinja2 does not have, and for the few that Ingot does not do. */
export function filterOf(name: string): Filter {
  const real = Object.hasOwn(aliases, name) ? (aliases[name] ?? name) : name;
  for (const table of [singleFilters, listFilters])
    if (Object.hasOwn(table, real)) return table[real] as Filter;
  return fail(refused.has(name) ? `the filter '${name}' is not supported` : `No filter named '${name}'.`);
}

const capitalizedWord = (word: string): string => {
  const [first = '', ...rest] = word;
  return first.toUpperCase() + rest.join('').toLowerCase();
};

function bounded(width: number, budget: Runtime['budget']): number {
  budget.make(Math.max(0, width));
  return Math.max(0, width);
}

function indentText(indent: Value, budget: Runtime['budget']): string {
  return typeof indent === 'string' ? indent : ' '.repeat(bounded(integer(indent, 0), budget));
}

function separatorsOf(value: Value | undefined, pretty: boolean): readonly [string, string] {
  if (value === undefined || value === null) return [pretty ? ',' : ', ', ': '];
  const items = value instanceof Tuple ? value.items : Array.isArray(value) ? value : [];
  if (items.length !== 2) fail('separators must be two texts');
  return [soft(items[0] ?? null), soft(items[1] ?? null)];
}

const underscored = /^[+-]?\d+(?:_\d+)*$/;

/** `int(value)`; undefined where Jinja falls back to the default. */
function toInteger(value: Value, base: number): bigint | undefined {
  if (typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value);
  if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined;
  if (value instanceof Undefined) return value.fail();
  if (typeof value !== 'string') return undefined;
  const digits = strip(value, undefined, true, true);
  if (base === 10 && underscored.test(digits)) return BigInt(digits.replaceAll('_', '').replace(/^\+/, ''));
  const other = base === 10 ? undefined : inBase(digits, base);
  if (other !== undefined) return other;
  const float = toFloat(value);
  return float !== undefined && Number.isFinite(float) ? BigInt(Math.trunc(float)) : undefined;
}

function inBase(digits: string, base: number): bigint | undefined {
  const [, sign = '', prefix = '', body = ''] = /^([+-]?)(0[xXoObB])?([\da-zA-Z]+)$/.exec(digits) ?? [];
  const own: Readonly<Record<string, number>> = { '0x': 16, '0o': 8, '0b': 2 };
  const real = base === 0 ? (own[prefix.toLowerCase()] ?? 10) : base;
  if (prefix !== '' && own[prefix.toLowerCase()] !== real) return undefined;
  let value = 0n;
  for (const char of body) {
    const digit = Number.parseInt(char, 36);
    if (Number.isNaN(digit) || digit >= real) return undefined;
    value = value * BigInt(real) + BigInt(digit);
  }
  return body === '' ? undefined : sign === '-' ? -value : value;
}

const floatForm =
  /^[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+)?|inf(?:inity)?|nan)$/i;

/** `float(value)`; undefined where Jinja falls back to the default. */
function toFloat(value: Value): number | undefined {
  if (isNumber(value)) return Number(value);
  if (value instanceof Undefined) return value.fail();
  if (typeof value !== 'string') return undefined;
  const form = strip(value, undefined, true, true);
  if (!floatForm.test(form)) return undefined;
  if (/nan$/i.test(form)) return Number.NaN;
  if (/inf/i.test(form)) return form.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(form.replaceAll('_', ''));
}

/** Half to even on the decimal digits a float has, as Python rounds. */
function rounded(input: Value, digits: number, method: Value): Value {
  if (method !== 'common' && method !== 'ceil' && method !== 'floor')
    return fail('method must be common, ceil or floor');
  if (!isNumber(input))
    return input instanceof Undefined
      ? input.fail()
      : fail(`type ${typeName(input)} doesn't define __round__ method`);
  if (method !== 'common') {
    const scale = 10 ** digits;
    return Math[method](Number(input) * scale) / scale;
  }
  const value = numeric(input);
  if (typeof value === 'bigint') return digits >= 0 ? value : roundedInteger(value, 10n ** BigInt(-digits));
  return roundedFloat(value, digits);
}

function roundedInteger(value: bigint, unit: bigint): bigint {
  const rest = ((value % unit) + unit) % unit;
  const low = value - rest;
  if (rest * 2n < unit) return low;
  return rest * 2n > unit || (low / unit) % 2n !== 0n ? low + unit : low;
}

function roundedFloat(value: number, digits: number): number {
  if (!Number.isFinite(value) || digits > 22) return value;
  if (digits < 0) return Number(roundedInteger(BigInt(Math.trunc(value)), 10n ** BigInt(-digits)));
  // toFixed looks at all the digits a float has, and breaks ties away from zero.
  const up = value.toFixed(digits);
  const exact = value.toFixed(digits + 40).slice(-40);
  if (!/^50*$/.test(exact) || /[02468]$/.test(up)) return Number(up);
  const down = (BigInt(up.replace('.', '').replace('-', '')) - 1n).toString().padStart(digits + 1, '0');
  const text = digits === 0 ? down : `${down.slice(0, -digits)}.${down.slice(-digits)}`;
  return Number(value < 0 ? `-${text}` : text);
}

const unescapeHtml = (value: string): string =>
  value
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&#39;', "'")
    .replaceAll('&#34;', '"')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
