// Attributes as data: a key for equality, and the plan scalars they mention.

import type { ScalarRef } from '../types.ts';
import { isScalarRef } from '../types.ts';

/** A string that is equal exactly for equal attributes. JSON would merge NaN, infinities and -0. */
export function attributeKey(x: unknown): string {
  if (typeof x === 'number') return Object.is(x, -0) ? '-0' : String(x);
  if (typeof x === 'string') return JSON.stringify(x);
  if (globalThis.Array.isArray(x)) return `[${x.map(attributeKey).join(',')}]`;
  if (typeof x !== 'object' || x === null) return String(x);
  const entries = Object.entries(x).filter(([, v]) => v !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${k}:${attributeKey(v)}`)
    .join(',')}}`;
}

/** Every plan scalar mentioned in attributes. */
export function scalarRefs(x: unknown): readonly ScalarRef[] {
  if (typeof x !== 'object' || x === null) return [];
  if (isScalarRef(x)) return [x];
  return Object.values(x).flatMap(scalarRefs);
}

/** The attributes with plan scalars replaced by their numbers. */
export function bindScalars<T>(x: T, scalars: Readonly<Record<string, number>>): T {
  const visit = (v: unknown): unknown => {
    if (typeof v !== 'object' || v === null) return v;
    if (isScalarRef(v)) return scalars[v.scalar];
    if (globalThis.Array.isArray(v)) return v.map(visit);
    return Object.fromEntries(Object.entries(v).map(([k, child]) => [k, visit(child)]));
  };
  return visit(x) as T;
}
