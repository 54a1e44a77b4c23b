// Shapes whose dimensions may be known only when a plan runs. A dynamic dimension has a static capacity, so memory is
// planned once and one plan serves every length up to it.

/** A dimension read from the plan scalar `name` at run time; 0 <= value <= max. */
export interface DynDim {
  readonly name: string;
  readonly max: number;
}
export type Dim = number | DynDim;
export type Shape = readonly Dim[];

/** A count `mul x (dyn ?? 1)`: the element count of a shape with at most one dynamic dimension. */
export interface Count {
  readonly mul: number;
  readonly dyn?: DynDim;
}

export const capacity = (d: Dim): number => (typeof d === 'number' ? d : d.max);
export const isDynamic = (d: Dim): d is DynDim => typeof d !== 'number';
export const sameDim = (a: Dim, b: Dim): boolean =>
  a === b || (isDynamic(a) && isDynamic(b) && a.name === b.name && a.max === b.max);
export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => sameDim(d, b[i] as Dim));
export const maxElements = (s: Shape): number => s.reduce<number>((n, d) => n * capacity(d), 1);
export const formatShape = (s: Shape): string =>
  `[${s.map((d) => (isDynamic(d) ? `${d.name}<=${d.max}` : d)).join(', ')}]`;
