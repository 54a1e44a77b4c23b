// Reading requests: shapes are tolerant of fields they do not know and of null for "not given", strict about all else.

import { z } from 'zod';
import { RequestError } from '../problem.ts';

/** A field that may be missing or null. */
export const optional = <T extends z.ZodType>(type: T) =>
  type.nullish().transform((value) => value ?? undefined);

export const object = z.record(z.string(), z.unknown());

/** `body`, which stands at `at` in the request, as `shape` describes it. Throws RequestError that names the first wrong field and counts the others. */
export function parse<T extends z.ZodType>(shape: T, body: unknown, at = ''): z.output<T> {
  const result = shape.safeParse(body, { reportInput: false });
  if (result.success) return result.data;
  const [first, ...more] = result.error.issues;
  const issue = first && deepest(first);
  const param = issue === undefined || issue.path.length === 0 ? undefined : at + formatPath(issue.path);
  const rest = more.length === 0 ? '' : ` (and ${more.length} more problems)`;
  throw new RequestError('invalid', `${param ?? 'the request'}: ${issue?.message ?? 'is not valid'}${rest}`, {
    param,
  });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Of a union, the issue of the branch that got furthest says most. */
function deepest(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const inner = issue.errors
    .flatMap((branch) => branch.slice(0, 1))
    .map((found) => {
      const { path, message } = deepest(found);
      return { path: [...issue.path, ...path], message };
    });
  const best = inner.reduce<Issue | undefined>(
    (a, b) => (a && a.path.length >= b.path.length ? a : b),
    undefined,
  );
  return best && best.path.length > issue.path.length ? best : issue;
}

const formatPath = (path: readonly PropertyKey[]): string =>
  path
    .map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? String(key) : `.${String(key)}`))
    .join('');
