// What the properties of modules are: names to values in modules, lists and plain objects.

export type Holder = Record<string, unknown>;

export const entriesOf = (holder: object): readonly [string, unknown][] => Object.entries(holder);

/** A list or plain object, which may hold parameters and modules. */
export const isContainer = (x: unknown): x is object =>
  Array.isArray(x) || (typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype);

export const joinPath = (path: string, key: string): string =>
  path === '' ? key : key === '' ? path : `${path}.${key}`;

export const put = (holder: object, key: string, value: unknown): void => {
  (holder as Holder)[key] = value;
};
