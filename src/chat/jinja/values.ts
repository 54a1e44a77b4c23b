// Values of a template, as Python knows them. Integers are bigint and floats number, so that 1 and 1.0 stay apart; texts are
// strings, None is null, lists are arrays.

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Undefined
  | Markup
  | Value[]
  | Tuple
  | Dict
  | View
  | Generator
  | Callable
  | Attributes;

/** What a template did wrong or asked for; becomes a typed error outside. */
export class TemplateError extends Error {}

export function fail(message: string): never {
  throw new TemplateError(message);
}

/** A name, key or attribute that is not there: prints as nothing, and fails when it is used otherwise. */
export class Undefined {
  readonly hint: string;
  constructor(hint: string) {
    this.hint = hint;
  }
  fail(): never {
    return fail(this.hint);
  }
}

/** A text that is not escaped again. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** Keys, values or items of a dict, or a range. */
export class View {
  readonly kind: 'dict_keys' | 'dict_values' | 'dict_items' | 'range';
  readonly items: readonly Value[];
  /** How a range is written. */
  readonly label: string;
  constructor(kind: View['kind'], items: readonly Value[], label = '') {
    this.kind = kind;
    this.items = items;
    this.label = label;
  }
}

/** What a filter gives item by item: it can be read once. */
export class Generator {
  #items: readonly Value[] | undefined;
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items ?? [];
    this.#items = [];
    return items;
  }
}

export type Keywords = ReadonlyMap<string, Value>;

export class Callable {
  readonly name: string;
  readonly call: (args: readonly Value[], keywords: Keywords) => Value;
  constructor(name: string, call: Callable['call']) {
    this.name = name;
    this.call = call;
  }
}

/** An object with attributes: a namespace, `loop`, a cycler. `kind` is its class in messages. */
export class Attributes {
  readonly kind: string;
  readonly get: (name: string) => Value | undefined;
  readonly set: ((name: string, value: Value) => void) | undefined;
  readonly call: Callable['call'] | undefined;
  constructor(
    kind: string,
    get: Attributes['get'],
    more: { readonly set?: Attributes['set']; readonly call?: Callable['call'] } = {},
  ) {
    this.kind = kind;
    this.get = get;
    this.set = more.set;
    this.call = more.call;
  }
}

/** A dict: keeps the order of its keys; 1, 1.0 and True are one key. */
export class Dict {
  readonly #entries = new Map<unknown, readonly [Value, Value]>();
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hash(key))?.[1];
  }
  has(key: Value): boolean {
    return this.#entries.has(hash(key));
  }
  set(key: Value, value: Value): void {
    const code = hash(key);
    this.#entries.set(code, [this.#entries.get(code)?.[0] ?? key, value]);
  }
  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }
  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
  values(): Value[] {
    return this.entries().map(([, value]) => value);
  }
}

/** What equal keys share. Fails for values that cannot be keys. */
export function hash(key: Value): unknown {
  if (key === null || typeof key === 'string') return key;
  if (typeof key === 'boolean') return Number(key);
  if (typeof key === 'number') return key;
  if (typeof key === 'bigint') {
    const float = Number(key);
    return Number.isSafeInteger(float) ? float : key;
  }
  if (key instanceof Tuple) {
    return `\0(${key.items.map((item) => `${typeof hash(item)}:${String(hash(item))}`).join('\0')})`;
  }
  if (key instanceof Markup) return key.text;
  if (Array.isArray(key) || key instanceof Dict) return fail(`unhashable type: '${typeName(key)}'`);
  return key;
}

/** The name of a value's class in Python. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    case 'string':
      return 'str';
  }
  if (Array.isArray(value)) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof View) return value.kind;
  if (value instanceof Markup) return 'Markup';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Generator) return 'generator';
  return value instanceof Attributes ? value.kind : 'function';
}

/** A JSON-like value of JavaScript. Fields that are undefined do not exist. */
export function fromJs(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(fromJs);
  if (typeof value === 'object') {
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    return new Dict(entries.map(([key, each]) => [key, fromJs(each)] as const));
  }
  return fail(`a ${typeof value} cannot be given to a template`);
}

export const isNumber = (value: Value): value is boolean | bigint | number =>
  typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean';

/** A number without the bool that True and False are. */
export const numeric = (value: boolean | bigint | number): bigint | number =>
  typeof value === 'boolean' ? BigInt(value) : value;

export function truthy(value: Value): boolean {
  if (value === null || value === false || value === '') return false;
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Markup) return value.text !== '';
  if (value instanceof Undefined) return false;
  return true;
}

/** The items of a value that can be looped over. */
export function itemsOf(value: Value): readonly Value[] {
  if (typeof value === 'string') return [...value];
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Generator) return value.take();
  if (value instanceof Markup) return [...value.text];
  if (value instanceof Undefined) return [];
  return fail(`'${typeName(value)}' object is not iterable`);
}

export const isIterable = (value: Value): boolean =>
  typeof value === 'string' ||
  Array.isArray(value) ||
  value instanceof Tuple ||
  value instanceof View ||
  value instanceof Dict ||
  value instanceof Generator ||
  value instanceof Markup ||
  value instanceof Undefined;
