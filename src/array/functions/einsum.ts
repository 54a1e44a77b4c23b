// einsum: sums of products named by letters, two operands at a time. The pair whose result costs least is contracted first.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { promote } from '../ops/elementwise/elementwise.ts';
import { fixed } from '../ops/operands.ts';
import { product } from './linear-algebra.ts';
import { diagonal } from './shape.ts';

interface Labelled {
  readonly x: NDArray;
  readonly labels: readonly string[];
}

interface Plan {
  readonly operands: readonly Labelled[];
  readonly output: readonly string[];
  readonly sizes: ReadonlyMap<string, number>;
}

/** The sum of products that `subscripts` names: 'ij,jk->ik', with '...' for axes that broadcast. */
export function einsum(subscripts: string, ...arrays: readonly NDArray[]): NDArray {
  const { operands, output, sizes } = parse(subscripts, arrays);
  let list = operands.map((o) => summedAlone(o, operands, output));
  for (const [i, j] of contractionOrder(list, output, sizes)) {
    const [a, b] = [list[i] as Labelled, list[j] as Labelled];
    const rest = list.filter((_, k) => k !== i && k !== j);
    const needed = new Set([...output, ...rest.flatMap((o) => o.labels)]);
    list = [...rest, contract(a, b, needed, sizes)];
  }
  const last = list[0] as Labelled;
  const extra = last.labels.flatMap((l, i) => (output.includes(l) ? [] : [i]));
  const kept = last.labels.filter((l) => output.includes(l));
  const summed = extra.length === 0 ? last.x : last.x.sum(extra);
  // Sums widen short integers; the result has their dtype, as in NumPy.
  const dtype = arrays.reduce((d, a) => promote(d, a.dtype), (arrays[0] as NDArray).dtype);
  return summed.transpose(output.map((l) => kept.indexOf(l))).cast(dtype);
}

/** The order in which einsum contracts pairs of the list, each result going to its end; and the multiplications that takes. */
export function einsumPath(
  subscripts: string,
  ...arrays: readonly NDArray[]
): { readonly path: readonly (readonly [number, number])[]; readonly multiplications: number } {
  const { operands, output, sizes } = parse(subscripts, arrays);
  const labels = operands.map((o) => ({ labels: o.labels }));
  const path = contractionOrder(labels, output, sizes);
  let list: readonly { readonly labels: readonly string[] }[] = labels;
  let multiplications = 0;
  for (const [i, j] of path) {
    const union = unionOf(list[i]?.labels ?? [], list[j]?.labels ?? []);
    multiplications += volume(union, sizes);
    const rest = list.filter((_, k) => k !== i && k !== j);
    const needed = new Set([...output, ...rest.flatMap((o) => o.labels)]);
    list = [...rest, { labels: union.filter((l) => needed.has(l)) }];
  }
  return { path, multiplications };
}

const unionOf = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];
const volume = (labels: readonly string[], sizes: ReadonlyMap<string, number>): number =>
  labels.reduce((n, l) => n * (sizes.get(l) ?? 1), 1);

/** Greedy: the pair of which the product is smallest, then with the fewest multiplications. */
function contractionOrder(
  operands: readonly { readonly labels: readonly string[] }[],
  output: readonly string[],
  sizes: ReadonlyMap<string, number>,
): readonly (readonly [number, number])[] {
  let list = operands.map((o) => o.labels);
  const path: (readonly [number, number])[] = [];
  while (list.length > 1) {
    let best:
      | {
          readonly pair: readonly [number, number];
          readonly cost: number;
          readonly labels: readonly string[];
        }
      | undefined;
    for (let i = 0; i < list.length; i++) {
      for (let j = i + 1; j < list.length; j++) {
        const rest = new Set([...output, ...list.filter((_, k) => k !== i && k !== j).flat()]);
        const union = unionOf(list[i] ?? [], list[j] ?? []);
        const labels = union.filter((l) => rest.has(l));
        const cost =
          volume(labels, sizes) -
          volume(list[i] ?? [], sizes) -
          volume(list[j] ?? [], sizes) +
          volume(union, sizes) * 1e-9;
        if (best === undefined || cost < best.cost) best = { pair: [i, j], cost, labels };
      }
    }
    if (best === undefined) break;
    const { pair, labels } = best;
    path.push(pair);
    list = [...list.filter((_, k) => !pair.includes(k)), labels];
  }
  return path;
}

/** Labels that only this operand has are summed at once. */
function summedAlone({ x, labels }: Labelled, all: readonly Labelled[], output: readonly string[]): Labelled {
  const elsewhere = new Set([
    ...output,
    ...all.filter((o) => o.x !== x || o.labels !== labels).flatMap((o) => o.labels),
  ]);
  const axes = labels.flatMap((l, i) => (elsewhere.has(l) ? [] : [i]));
  return axes.length === 0
    ? { x, labels }
    : { x: x.sum(axes), labels: labels.filter((l) => elsewhere.has(l)) };
}

/** Two operands as a batched matrix product: shared labels that stay are the batch, those that go are summed. */
function contract(
  a: Labelled,
  b: Labelled,
  needed: ReadonlySet<string>,
  sizes: ReadonlyMap<string, number>,
): Labelled {
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const batch = shared.filter((l) => needed.has(l));
  const inner = shared.filter((l) => !needed.has(l));
  const left = a.labels.filter((l) => !shared.includes(l));
  const right = b.labels.filter((l) => !shared.includes(l));
  const arrange = ({ x, labels }: Labelled, order: readonly string[]): NDArray =>
    x.transpose(order.map((l) => labels.indexOf(l)));
  const size = (labels: readonly string[]): number => volume(labels, sizes);
  const x = arrange(a, [...batch, ...left, ...inner]).reshape([size(batch), size(left), size(inner)]);
  const y = arrange(b, [...batch, ...inner, ...right]).reshape([size(batch), size(inner), size(right)]);
  const labels = [...batch, ...left, ...right];
  return { x: product(x, y).reshape(labels.map((l) => sizes.get(l) ?? 1)), labels };
}

function parse(subscripts: string, arrays: readonly NDArray[]): Plan {
  const fail = (problem: string): never => {
    throw new IngotError('invalid_argument', `einsum '${subscripts}': ${problem}`);
  };
  const [left = '', right, more] = subscripts.replace(/\s/g, '').split('->');
  if (more !== undefined || !/^[A-Za-z,.]*$/.test(left + (right ?? '')))
    fail('is not letters, commas, ... and one ->');
  const terms = left.split(',');
  if (terms.length !== arrays.length) fail(`${terms.length} operands are named, ${arrays.length} given`);
  const sizes = new Map<string, number>();
  const ellipsis = Math.max(
    0,
    ...terms.map((t, i) => (t.includes('...') ? (arrays[i]?.shape.length ?? 0) - t.length + 3 : 0)),
  );
  const hidden = Array.from({ length: ellipsis }, (_, i) => `.${i}`);
  const expand = (term: string, rank?: number): readonly string[] => {
    const [before = '', after, third] = term.split('...');
    if (third !== undefined || /\./.test(before + (after ?? '')))
      fail(`'${term}' has dots that are no ellipsis`);
    if (after === undefined) return [...before];
    const count = rank === undefined ? ellipsis : rank - before.length - after.length;
    return [...before, ...hidden.slice(ellipsis - Math.max(0, count)), ...after];
  };
  const operands = terms.map((term, i): Labelled => {
    const x = arrays[i] as NDArray;
    const labels = expand(term, x.shape.length);
    if (labels.length !== x.shape.length)
      fail(`operand ${i} is ${formatShape(x.shape)}, '${term}' names ${labels.length} axes`);
    return withoutRepeats(x, labels);
  });
  for (const [i, { x, labels }] of operands.entries()) {
    labels.forEach((l, k) => {
      const d = fixed(x.shape[k], 'einsum');
      const known = sizes.get(l) ?? 1;
      if (known !== 1 && d !== 1 && known !== d)
        fail(`axis ${l} is ${d} in operand ${i} and ${known} before`);
      sizes.set(l, Math.max(d, known === 1 ? d : known));
    });
  }
  const all = operands.flatMap((o) => o.labels);
  const once = [...new Set(all)]
    .filter((l) => terms.join('').split(l).length === 2 && !l.startsWith('.'))
    .sort();
  const output = right === undefined ? [...hidden, ...once] : expand(right);
  if (new Set(output).size !== output.length) fail('the result names an axis twice');
  const unknown = output.find((l) => !sizes.has(l));
  if (unknown !== undefined) fail(`axis ${unknown} of the result is in no operand`);
  const wide = operands.map(({ x, labels }) => ({
    x: x.broadcastTo(labels.map((l) => sizes.get(l) ?? 1)),
    labels,
  }));
  return { operands: wide, output, sizes };
}

/** 'ii' is the diagonal. */
function withoutRepeats(x: NDArray, labels: readonly string[]): Labelled {
  const second = labels.findIndex((l, i) => labels.indexOf(l) !== i);
  if (second < 0) return { x, labels };
  const first = labels.indexOf(labels[second] as string);
  const rest = labels.filter((_, i) => i !== first && i !== second);
  return withoutRepeats(diagonal(x, 0, first, second), [...rest, labels[second] as string]);
}
