// Python's two ways to format texts: `%` and `.format()`.

import type { Budget } from './budget.ts';
import { floatText, lengthOf, repr, str } from './text.ts';
import { Dict, fail, isNumber, type Keywords, numeric, Tuple, typeName, type Value } from './values.ts';

const percent = /%(?:\(([^)]*)\))?([-+ #0]*)(\d+|\*)?(?:\.(\d+))?[hlL]?([\s\S])/g;

/** `text % value`. */
export function formatPercent(text: string, value: Value, budget: Budget): string {
  const args = value instanceof Tuple ? value.items : [value];
  let used = 0;
  let named = false;
  const next = (): Value =>
    used < args.length ? (args[used++] ?? null) : fail('not enough arguments for format string');
  const made = text.replace(
    percent,
    (_, key?: string, flags = '', width?: string, precision?: string, kind = '') => {
      if (kind === '%') return '%';
      if (width === '*') return fail("a width of '*' is not supported");
      let item: Value;
      if (key !== undefined) {
        named = true;
        if (!(value instanceof Dict)) return fail('format requires a mapping');
        item = value.get(key) ?? fail(repr(key));
      } else item = next();
      const body = converted(item, kind, flags, precision === undefined ? undefined : Number(precision));
      const size = Number(width ?? 0);
      budget.make(size);
      const left = flags.includes('-');
      const numberKind = 'diufFeEgGxXo'.includes(kind);
      if (flags.includes('0') && !left && numberKind) {
        const sign = /^[-+ ]/.exec(body)?.[0] ?? '';
        return sign + body.slice(sign.length).padStart(size - sign.length, '0');
      }
      return padded(body, size, left ? '<' : '>', ' ');
    },
  );
  if (!named && used < args.length && !(value instanceof Dict && used === 0) && !Array.isArray(value))
    fail('not all arguments converted during string formatting');
  budget.make(made.length);
  return made;
}

function converted(item: Value, kind: string, flags: string, precision: number | undefined): string {
  const plus = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  const signed = (text: string): string => (text.startsWith('-') ? text : plus + text);
  switch (kind) {
    case 's':
      return cut(str(item), precision);
    case 'r':
    case 'a':
      return cut(repr(item), precision);
    case 'd':
    case 'i':
    case 'u':
      if (!isNumber(item)) return fail(`%${kind} format: a real number is required, not ${typeName(item)}`);
      return signed(
        wholeOf(item)
          .toString()
          .padStart(precision ?? 0, '0'),
      );
    case 'x':
    case 'X':
    case 'o': {
      if (typeof item !== 'bigint' && typeof item !== 'boolean')
        return fail(`%${kind} format: an integer is required, not ${typeName(item)}`);
      const digits = wholeOf(item).toString(kind === 'o' ? 8 : 16);
      return signed(kind === 'X' ? digits.toUpperCase() : digits);
    }
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      if (!isNumber(item)) return fail(`must be real number, not ${typeName(item)}`);
      return signed(floatAs(Number(item), kind, precision ?? 6));
    case 'c':
      return typeof item === 'bigint' ? String.fromCodePoint(Number(item)) : str(item);
    default:
      return fail(`unsupported format character '${kind}'`);
  }
}

const cut = (text: string, length: number | undefined): string =>
  length === undefined ? text : [...text].slice(0, length).join('');

const wholeOf = (value: boolean | bigint | number): bigint => {
  const number = numeric(value);
  return typeof number === 'bigint' ? number : BigInt(Math.trunc(number));
};

const mostDigits = 100;

/** A float in the form `kind`, with `precision` digits. */
function floatAs(value: number, kind: string, precision: number): string {
  if (precision > mostDigits) fail(`more than ${mostDigits} digits are not supported`);
  if (!Number.isFinite(value)) return floatText(value);
  const lower = kind.toLowerCase();
  let text: string;
  if (lower === 'f') text = fixed(value, precision);
  else if (lower === 'e') text = exponential(value, precision);
  else {
    const digits = Math.max(1, precision);
    const power = Number(value.toExponential(digits - 1).split('e')[1]);
    const short = power < -4 || power >= digits;
    const long = short ? exponential(value, digits - 1) : fixed(value, digits - 1 - power);
    text = long.includes('.') ? long.replace(/\.?0+(?=e|$)/, '') : long;
  }
  return kind === lower ? text : text.toUpperCase();
}

/** JavaScript's `toFixed` gives up at 1e21. */
export function fixed(value: number, digits: number): string {
  if (Math.abs(value) < 1e21) {
    const text = value.toFixed(digits);
    return Object.is(value, -0) ? `-${text}` : text;
  }
  return BigInt(value).toString() + (digits > 0 ? `.${'0'.repeat(digits)}` : '');
}

function exponential(value: number, digits: number): string {
  const [mantissa = '', power = '0'] = value.toExponential(digits).split('e');
  return `${mantissa}e${power[0] === '-' ? '-' : '+'}${power.replace(/^[-+]/, '').padStart(2, '0')}`;
}

function padded(text: string, width: number, align: string, fill: string): string {
  const room = Math.max(0, width - lengthOf(text));
  const left = align === '<' ? 0 : align === '^' ? Math.floor(room / 2) : room;
  return fill.repeat(left) + text + fill.repeat(room - left);
}

const fields = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g;

/** `text.format(*args, **keywords)`. `lookup` reads an attribute or key of a value. */
export function formatBraces(
  text: string,
  args: readonly Value[],
  keywords: Keywords,
  tools: { readonly budget: Budget; readonly lookup: (value: Value, key: string, isItem: boolean) => Value },
): string {
  let automatic = 0;
  const valueOfField = (field: string): Value => {
    const [, name = '', path = ''] = /^([^.[]*)(.*)$/s.exec(field) ?? [];
    const at = name === '' ? automatic++ : /^\d+$/.test(name) ? Number(name) : undefined;
    let value =
      at === undefined
        ? (keywords.get(name) ?? fail(repr(name)))
        : at < args.length
          ? (args[at] ?? null)
          : fail(`Replacement index ${at} out of range for positional args tuple`);
    for (const [, attribute, key] of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
      value = tools.lookup(value, attribute ?? key ?? '', attribute === undefined);
    return value;
  };
  const made = text.replace(fields, (whole, field?: string, conversion?: string, spec = '') => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (field === undefined)
      return fail(
        whole === '{' ? "Single '{' encountered in format string" : "Single '}' encountered in format string",
      );
    const value = valueOfField(field);
    const shown = conversion === undefined ? value : conversion === 's' ? str(value) : repr(value);
    const inner = spec.replace(/\{([^{}]*)\}/g, (_: string, name: string) => str(valueOfField(name)));
    return formatSpec(shown, inner, tools.budget);
  });
  tools.budget.make(made.length);
  return made;
}

const specForm = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** `format(value, spec)`. */
function formatSpec(value: Value, spec: string, budget: Budget): string {
  if (spec === '') return str(value);
  const found = specForm.exec(spec) ?? fail(`Invalid format specifier '${spec}'`);
  const [, fillText, alignText, sign = '-', alternate, zero, widthText, group, precisionText, kind] = found;
  if (alternate !== undefined) fail("the format flag '#' is not supported");
  const width = Number(widthText ?? 0);
  budget.make(width);
  const precision = precisionText === undefined ? undefined : Number(precisionText);
  if (!isNumber(value) || (typeof value === 'boolean' && kind === undefined)) {
    if (kind !== undefined && kind !== 's')
      fail(`Unknown format code '${kind}' for object of type '${typeName(value)}'`);
    return padded(cut(str(value), precision), width, alignText ?? '<', fillText ?? ' ');
  }
  const body = numberText(value, kind, precision, group);
  const signed = body.startsWith('-') || sign === '-' ? body : sign + body;
  const align = alignText ?? (zero ? '=' : '>');
  const fill = fillText ?? (zero ? '0' : ' ');
  if (align !== '=') return padded(signed, width, align, fill);
  const prefix = /^[-+ ]/.exec(signed)?.[0] ?? '';
  return prefix + padded(signed.slice(prefix.length), width - prefix.length, '>', fill);
}

function numberText(
  value: boolean | bigint | number,
  kind: string | undefined,
  precision: number | undefined,
  group: string | undefined,
): string {
  const number = numeric(value);
  const grouped = (text: string): string =>
    group === undefined
      ? text
      : text.replace(/^-?\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, group));
  if (typeof number === 'bigint' && (kind === undefined || 'dnxXob'.includes(kind))) {
    if (precision !== undefined) fail('Precision not allowed in integer format specifier');
    const base = kind === 'b' ? 2 : kind === 'o' ? 8 : kind === 'x' || kind === 'X' ? 16 : 10;
    const digits = number.toString(base);
    return grouped(kind === 'X' ? digits.toUpperCase() : digits);
  }
  const float = Number(number);
  if (kind === '%') return `${grouped(floatAs(float * 100, 'f', precision ?? 6))}%`;
  if (kind === undefined) {
    if (precision === undefined) return grouped(floatText(float));
    const text = floatAs(float, 'g', precision);
    return grouped(/[.e]/.test(text) || !Number.isFinite(float) ? text : `${text}.0`);
  }
  if (!'fFeEgG'.includes(kind))
    return fail(`Unknown format code '${kind}' for object of type '${typeName(value)}'`);
  return grouped(floatAs(float, kind, precision ?? 6));
}
