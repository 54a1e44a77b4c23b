// `json.dumps`, which the filter `tojson` of chat templates is.

import type { Budget } from './budget.ts';
import { compare } from './operators.ts';
import { floatText } from './text.ts';
import { Dict, fail, Markup, Tuple, typeName, type Value } from './values.ts';

export interface DumpOptions {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly separators: readonly [string, string];
  readonly sortKeys: boolean;
}

/** JSON of a value. Fails for what is none, as Python does. */
export function dumps(value: Value, options: DumpOptions, budget: Budget): string {
  const text = dump(value, options, '', budget);
  budget.make(text.length);
  return text;
}

function dump(value: Value, options: DumpOptions, margin: string, budget: Budget): string {
  budget.step();
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return jsonFloat(value);
  if (typeof value === 'string') return quoted(value, options.ascii);
  if (value instanceof Markup) return quoted(value.text, options.ascii);
  const { indent, separators } = options;
  const inner = indent === undefined ? '' : `\n${margin}${indent}`;
  const last = indent === undefined ? '' : `\n${margin}`;
  const deeper = margin + (indent ?? '');
  const joined = (open: string, parts: readonly string[], close: string): string =>
    parts.length === 0
      ? open + close
      : `${open}${inner}${parts.join(`${separators[0]}${inner}`)}${last}${close}`;
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items)
    return joined(
      '[',
      items.map((item) => dump(item, options, deeper, budget)),
      ']',
    );
  if (value instanceof Dict) {
    const entries = value.entries();
    if (options.sortKeys) entries.sort(([a], [b]) => compare(a, b));
    const parts = entries.map(
      ([key, each]) =>
        quoted(keyText(key), options.ascii) + separators[1] + dump(each, options, deeper, budget),
    );
    return joined('{', parts, '}');
  }
  return fail(`Object of type ${typeName(value)} is not JSON serializable`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? floatText(value) : value < 0 ? '-Infinity' : 'Infinity';
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return key ? 'true' : 'false';
  if (typeof key === 'bigint') return key.toString();
  if (typeof key === 'number') return jsonFloat(key);
  return fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const short: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
const always = /["\\\x00-\x1f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
const beyondAscii = /["\\\x00-\x1f]|[^\x00-\x7f]/g;

const quoted = (text: string, ascii: boolean): string =>
  `"${text.replace(
    ascii ? beyondAscii : always,
    (char) => short[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )}"`;
