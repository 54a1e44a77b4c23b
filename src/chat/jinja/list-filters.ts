// Filters of Jinja2 on lists and dicts.

import { type Args, integer, type Runtime, soft, text } from './arguments.ts';
import type { Filter } from './filters.ts';
import { binary, compare, equal } from './operators.ts';
import {
  Dict,
  fail,
  Generator,
  hash,
  isIterable,
  itemsOf,
  Markup,
  Tuple,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Reads an attribute such as `a.b.0` of items; several with commas give a list. */
type Getter = (item: Value) => Value;

function getterOf(attribute: Value | undefined, runtime: Runtime, otherwise?: Value): Getter {
  if (attribute === undefined || attribute === null) return (item) => item;
  const path = typeof attribute === 'string' ? attribute.split('.') : [attribute];
  return (item) => {
    let value = item;
    for (const key of path) {
      const part = typeof key === 'string' && /^\d+$/.test(key) ? BigInt(key) : key;
      value = runtime.lookup(value, part, true);
      if (value instanceof Undefined && otherwise !== undefined) value = otherwise;
    }
    return value;
  };
}

function getters(attribute: Value | undefined, runtime: Runtime, change: (value: Value) => Value): Getter {
  const several =
    typeof attribute === 'string' ? attribute.split(',') : [attribute === undefined ? null : attribute];
  const each = several.map((one) => getterOf(one, runtime));
  return (item) => {
    const values = each.map((get) => change(get(item)));
    return values.length === 1 ? (values[0] ?? null) : values;
  };
}

/** Texts without regard to case, unless it matters. */
const folded =
  (caseSensitive: Value | undefined): ((value: Value) => Value) =>
  (value) =>
    typeof value === 'string' && !truthy(caseSensitive ?? false) ? value.toLowerCase() : value;

function read(input: Value, { budget }: Runtime): readonly Value[] {
  const items = itemsOf(input);
  budget.step(items.length + 1);
  return items;
}

/** Sorts by keys, equal ones as they came. */
function sorted<T>(items: readonly T[], key: (item: T) => Value, reverse: boolean, { budget }: Runtime): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  budget.step(items.length * Math.ceil(Math.log2(items.length + 2)));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

function extreme(sign: 1 | -1): Filter {
  return (input, args, runtime) => {
    const [sensitive, attribute] = args.take(sign < 0 ? 'min' : 'max', 'case_sensitive', 'attribute');
    const get = getterOf(attribute, runtime);
    const change = folded(sensitive);
    const key = (item: Value): Value => change(get(item));
    const [first, ...rest] = read(input, runtime);
    if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
    return rest.reduce((best, item) => (compare(key(item), key(best)) * sign > 0 ? item : best), first);
  };
}

/** select, reject, selectattr and rejectattr. */
function picks(keep: boolean, byAttribute: boolean): Filter {
  return (input, args, runtime) => {
    if (byAttribute && args.positional.length === 0) fail('Missing parameter for attribute name');
    const get = byAttribute ? getterOf(args.positional[0] ?? null, runtime) : (item: Value) => item;
    const rest = args.rest(byAttribute ? 1 : 0);
    const [name] = rest.positional;
    const passes = (item: Value): boolean =>
      name === undefined
        ? truthy(get(item))
        : runtime.test(text(name, '', 'the name of a test'), get(item), rest.rest(1));
    return new Generator(read(input, runtime).filter((item) => passes(item) === keep));
  };
}

function mapped(input: Value, args: Args, runtime: Runtime): Value {
  const [name] = args.positional;
  if (name === undefined) {
    const { keywords } = args;
    const attribute = keywords.get('attribute');
    if (attribute === undefined) fail('map requires a filter argument');
    for (const key of keywords.keys())
      if (key !== 'attribute' && key !== 'default') fail(`Unexpected keyword argument '${key}'`);
    return new Generator(read(input, runtime).map(getterOf(attribute, runtime, keywords.get('default'))));
  }
  const filter = text(name, '', 'the name of a filter');
  return new Generator(read(input, runtime).map((item) => runtime.filter(filter, item, args.rest(1))));
}

export const listFilters: Readonly<Record<string, Filter>> = {
  select: picks(true, false),
  reject: picks(false, false),
  selectattr: picks(true, true),
  rejectattr: picks(false, true),
  map: mapped,
  min: extreme(-1),
  max: extreme(1),
  list: (input, _, runtime) => [...read(input, runtime)],
  first(input, _, runtime) {
    return read(input, runtime)[0] ?? new Undefined('No first item, sequence was empty.');
  },
  last(input, _, runtime) {
    if (input instanceof Generator) fail("'generator' object is not reversible");
    return read(input, runtime).at(-1) ?? new Undefined('No last item, sequence was empty.');
  },
  reverse(input, _, { budget }) {
    if (typeof input === 'string' || input instanceof Markup) {
      const chars = typeof input === 'string' ? input : input.text;
      budget.make(chars.length);
      return [...chars].reverse().join('');
    }
    if (!isIterable(input)) fail('argument must be iterable');
    return new Generator([...itemsOf(input)].reverse());
  },
  join(input, args, runtime) {
    const [separator = '', attribute] = args.take('join', 'd', 'attribute');
    const items = read(input, runtime).map(getterOf(attribute, runtime));
    const parts = items.map(soft);
    const between = soft(separator);
    runtime.budget.make(parts.reduce((sum, each) => sum + each.length + between.length, 0));
    return parts.join(between);
  },
  sum(input, args, runtime) {
    const [attribute, start = 0n] = args.take('sum', 'attribute', 'start');
    const items = read(input, runtime).map(getterOf(attribute, runtime));
    if (typeof start === 'string') fail("sum() can't sum strings [use ''.join(seq) instead]");
    return items.reduce((total, item) => binary('+', total, item, runtime.budget), start);
  },
  sort(input, args, runtime) {
    const [reverse = false, sensitive = false, attribute] = args.take(
      'sort',
      'reverse',
      'case_sensitive',
      'attribute',
    );
    const key = getters(attribute, runtime, folded(sensitive));
    return sorted(read(input, runtime), key, truthy(reverse), runtime);
  },
  dictsort(input, args, runtime) {
    const [sensitive = false, by = 'key', reverse = false] = args.take(
      'dictsort',
      'case_sensitive',
      'by',
      'reverse',
    );
    if (!(input instanceof Dict)) return fail(`'${typeName(input)}' object has no attribute 'items'`);
    if (by !== 'key' && by !== 'value') fail('You can only sort by either "key" or "value"');
    const change = folded(sensitive);
    const key = ([name, value]: readonly [Value, Value]): Value => change(by === 'key' ? name : value);
    return sorted(input.entries(), key, truthy(reverse), runtime).map((entry) => new Tuple(entry));
  },
  unique(input, args, runtime) {
    const [sensitive = false, attribute] = args.take('unique', 'case_sensitive', 'attribute');
    const get = getterOf(attribute, runtime);
    const change = folded(sensitive);
    const seen = new Set<unknown>();
    const kept = read(input, runtime).filter((item) => {
      const key = hash(change(get(item)));
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
    return new Generator(kept);
  },
  groupby(input, args, runtime) {
    const [attribute = null, otherwise, sensitive = false] = args.take(
      'groupby',
      'attribute',
      'default',
      'case_sensitive',
    );
    const get = getterOf(attribute, runtime, otherwise);
    const change = folded(sensitive);
    const groups: { key: Value; first: Value; items: Value[] }[] = [];
    for (const item of sorted(read(input, runtime), (each) => change(get(each)), false, runtime)) {
      const key = change(get(item));
      const last = groups.at(-1);
      if (last && equal(last.key, key)) last.items.push(item);
      else groups.push({ key, first: get(item), items: [item] });
    }
    return groups.map(({ first, items }) => new Tuple([first, items]));
  },
  batch(input, args, runtime) {
    const [count = null, fill] = args.take('batch', 'linecount', 'fill_with');
    const size = integer(count, 1);
    const items = read(input, runtime);
    const rows: Value[] = [];
    for (let from = 0; size > 0 && from < items.length; from += size)
      rows.push(items.slice(from, from + size));
    const last = rows.at(-1);
    if (Array.isArray(last) && fill !== undefined && fill !== null) {
      runtime.budget.make(size - last.length);
      while (last.length < size) last.push(fill);
    }
    return new Generator(rows);
  },
  slice(input, args, runtime) {
    const [count = null, fill] = args.take('slice', 'slices', 'fill_with');
    const slices = integer(count, 1);
    if (slices < 1) fail('integer division or modulo by zero');
    runtime.budget.make(slices);
    const items = read(input, runtime);
    const per = Math.floor(items.length / slices);
    const longer = items.length % slices;
    const made = Array.from({ length: slices }, (_, i): Value => {
      const from = i * per + Math.min(i, longer);
      const row = items.slice(from, from + per + (i < longer ? 1 : 0));
      return fill !== undefined && fill !== null && i >= longer ? [...row, fill] : row;
    });
    return new Generator(made);
  },
};
