// Convolution and pooling over any number of axes, channels last: x [N, …, C], weights [O, …, C / groups], as in MLX. Windows are
// strided slices, one for each place of the kernel, and a convolution is one matrix product over them.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { spreadOut } from '../ops/shape/slice.ts';
import { flip, pad } from './shape.ts';
import { alongAxis } from './terms.ts';

export type PerAxis = number | readonly number[];

export interface ConvOptions {
  readonly stride?: PerAxis;
  readonly padding?: PerAxis;
  readonly dilation?: PerAxis;
  readonly groups?: number;
}

export interface ConvGeneralOptions extends Omit<ConvOptions, 'padding'> {
  /** Zeros on both sides of each axis; or those before and those after: `[[before, …], [after, …]]`. */
  readonly padding?: PerAxis | readonly [before: readonly number[], after: readonly number[]];
  /** As dilation. */
  readonly kernelDilation?: PerAxis;
  /** Elements of x this far apart, zeros between them. */
  readonly inputDilation?: PerAxis;
  /** Kernels turned around. */
  readonly flip?: boolean;
}

export interface ConvTransposeOptions extends ConvOptions {
  /** Added to the end of each axis of the result. */
  readonly outputPadding?: PerAxis;
}

const perAxis = (
  x: PerAxis | undefined,
  axes: number,
  byDefault: number,
  what: string,
): readonly number[] => {
  const list = typeof x === 'object' ? x : Array.from({ length: axes }, () => x ?? byDefault);
  if (list.length === axes && list.every((v) => Number.isInteger(v) && v >= 0)) return list;
  throw new IngotError(
    'invalid_argument',
    `${what}: [${list}] is not a whole number for each of ${axes} axes`,
  );
};

interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
}

/** For each place of the kernel, row-major, the elements of `x` that it meets: [N, outputs…, C]. */
function windows(x: NDArray, { kernel, stride, dilation }: Windows, what: string): readonly NDArray[] {
  const sizes = kernel.map((k, i) => {
    const n = fixed(x.shape[i + 1], what);
    const size = Math.floor((n - (k - 1) * (dilation[i] as number) - 1) / (stride[i] as number)) + 1;
    if (size < 1) {
      throw new IngotError(
        'shape_mismatch',
        `${what}: a kernel of [${kernel}] does not fit ${formatShape(x.shape)}, padding included`,
      );
    }
    return size;
  });
  const places = kernel.reduce<readonly (readonly number[])[]>(
    (all, k) => all.flatMap((p) => Array.from({ length: k }, (_, i) => [...p, i])),
    [[]],
  );
  return places.map((place) =>
    x.slice(
      null,
      ...place.map((p, i) => {
        const start = p * (dilation[i] as number);
        return [
          start,
          start + ((sizes[i] as number) - 1) * (stride[i] as number) + 1,
          stride[i] as number,
        ] as const;
      }),
      null,
    ),
  );
}

/** Sums of products of windows of x `[N, …, C]` with weight `[O, …, C / groups]`: `[N, outputs…, O]`. */
export function convGeneral(
  x: NDArray,
  weight: NDArray,
  ...given: Given<
    [
      stride: PerAxis,
      padding: NonNullable<ConvGeneralOptions['padding']>,
      kernelDilation: PerAxis,
      inputDilation: PerAxis,
      groups: number,
      flip: boolean,
    ],
    ConvGeneralOptions
  >
): NDArray {
  const names = ['stride', 'padding', 'kernelDilation', 'inputDilation', 'groups', 'flip'] as const;
  const options = named<ConvGeneralOptions>('convGeneral', names, given, ['dilation']);
  const axes = x.shape.length - 2;
  if (axes < 1 || weight.shape.length !== x.shape.length) {
    throw new IngotError(
      'shape_mismatch',
      `conv: x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)} have different or too few axes`,
    );
  }
  const { groups = 1 } = options;
  const [C, O] = [fixed(x.shape.at(-1), 'conv'), fixed(weight.shape[0], 'conv')];
  if (C % groups !== 0 || O % groups !== 0 || fixed(weight.shape.at(-1), 'conv') * groups !== C) {
    throw new IngotError(
      'shape_mismatch',
      `conv: ${C} channels in ${groups} groups do not fit weight ${formatShape(weight.shape)}`,
    );
  }
  const kernel = weight.shape.slice(1, -1).map((d) => fixed(d, 'conv'));
  const stride = perAxis(options.stride, axes, 1, 'conv: stride').map((s) => Math.max(s, 1));
  const dilations = options.kernelDilation ?? options.dilation;
  const dilation = perAxis(dilations, axes, 1, 'conv: dilation').map((d) => Math.max(d, 1));
  const sides = options.padding;
  const apart = typeof sides === 'object' && typeof sides[0] === 'object';
  const [before, after] = (apart ? sides : [sides, sides]).map((p) =>
    perAxis(p as PerAxis | undefined, axes, 0, 'conv: padding'),
  ) as [readonly number[], readonly number[]];
  const spread = perAxis(options.inputDilation, axes, 1, 'conv: inputDilation').reduce<NDArray>(
    (y, d, i) => spreadOut(y, i + 1, Math.max(d, 1)),
    x,
  );
  const padded = pad(spread, [[0, 0], ...before.map((p, i) => [p, after[i] as number] as const), [0, 0]]);
  const w = options.flip
    ? flip(
        weight,
        kernel.map((_, i) => i + 1),
      )
    : weight;
  const pieces = windows(padded, { kernel, stride, dilation }, 'conv');
  const results = Array.from({ length: groups }, (_, g) => {
    const channel = C / groups;
    const part = (y: NDArray): NDArray =>
      groups === 1 ? y : alongAxis(y, y.shape.length - 1, [g * channel, (g + 1) * channel]);
    const columns = concat(pieces.map(part), -1);
    const rows = groups === 1 ? w : alongAxis(w, 0, [(g * O) / groups, ((g + 1) * O) / groups]);
    const flat = rows.reshape([O / groups, kernel.reduce((p, k) => p * k, channel)]);
    return columns.matmul(flat.transpose());
  });
  return concat(results, -1);
}

const convolution =
  (axes: number) =>
  (
    x: NDArray,
    weight: NDArray,
    ...given: Given<[stride: PerAxis, padding: PerAxis, dilation: PerAxis, groups: number], ConvOptions>
  ): NDArray => {
    checkRank(x, axes, `conv${axes}d`);
    const names = ['stride', 'padding', 'dilation', 'groups'] as const;
    return convGeneral(x, weight, named<ConvOptions>(`conv${axes}d`, names, given));
  };
/** Convolution of x [N, L, C] with weight [O, K, C / groups]. */
export const conv1d = convolution(1);
/** Convolution of x [N, H, W, C] with weight [O, KH, KW, C / groups]. */
export const conv2d = convolution(2);
/** Convolution of x [N, D, H, W, C]. */
export const conv3d = convolution(3);

function checkRank(x: NDArray, axes: number, what: string): void {
  if (x.shape.length === axes + 2) return;
  throw new IngotError(
    'shape_mismatch',
    `${what}: x must have ${axes + 2} axes (batch first, channels last), got ${formatShape(x.shape)}`,
  );
}

const transposedConvolution =
  (axes: number) =>
  (
    x: NDArray,
    weight: NDArray,
    ...given: Given<
      [stride: PerAxis, padding: PerAxis, dilation: PerAxis, outputPadding: PerAxis, groups: number],
      ConvTransposeOptions
    >
  ): NDArray => {
    const what = `convTranspose${axes}d`;
    checkRank(x, axes, what);
    const names = ['stride', 'padding', 'dilation', 'outputPadding', 'groups'] as const;
    const options = named<ConvTransposeOptions>(what, names, given);
    const kernel = weight.shape.slice(1, -1).map((d) => fixed(d, 'convTranspose'));
    const stride = perAxis(options.stride, axes, 1, 'convTranspose: stride');
    const dilation = perAxis(options.dilation, axes, 1, 'convTranspose: dilation');
    const padding = perAxis(options.padding, axes, 0, 'convTranspose: padding');
    const extra = perAxis(options.outputPadding, axes, 0, 'convTranspose: outputPadding');
    const spread = stride.reduce<NDArray>((y, s, i) => spreadOut(y, i + 1, s), x);
    const reach = kernel.map((k, i) => (k - 1) * (dilation[i] as number));
    const widths = reach.map((r, i) => [r, r + (extra[i] as number)] as const);
    const wide = pad(spread, [[0, 0], ...widths, [0, 0]]);
    const full = convGeneral(wide, weight, { dilation, groups: options.groups ?? 1, flip: true });
    return padding.reduce<NDArray>(
      (y, p, i) => alongAxis(y, i + 1, [p, fixed(y.shape[i + 1], 'convTranspose') - p]),
      full,
    );
  };
/** The transpose of conv1d: x [N, L, C], weight [O, K, C / groups]. */
export const convTranspose1d = transposedConvolution(1);
export const convTranspose2d = transposedConvolution(2);
export const convTranspose3d = transposedConvolution(3);

export interface PoolOptions {
  /** Default: the kernel. */
  readonly stride?: PerAxis;
  readonly padding?: PerAxis;
}

const pooling =
  (axes: number, what: string, outside: number, join: (pieces: readonly NDArray[]) => NDArray) =>
  (
    x: NDArray,
    kernel: PerAxis,
    ...given: Given<[stride: PerAxis, padding: PerAxis], PoolOptions>
  ): NDArray => {
    checkRank(x, axes, what);
    const { stride, padding } = named<PoolOptions>(what, ['stride', 'padding'], given);
    const size = perAxis(kernel, axes, 1, `${what}: kernel`);
    const step = perAxis(stride ?? kernel, axes, 1, `${what}: stride`);
    const edge = perAxis(padding, axes, 0, `${what}: padding`);
    const wide = pad(x, [[0, 0], ...edge.map((p) => [p, p] as const), [0, 0]], 'constant', outside);
    return join(windows(wide, { kernel: size, stride: step, dilation: size.map(() => 1) }, what));
  };
const largest = (pieces: readonly NDArray[]): NDArray => pieces.reduce((a, b) => a.maximum(b));
const meanOf = (pieces: readonly NDArray[]): NDArray => pieces.reduce((a, b) => a.add(b)).div(pieces.length);

/** Largest element of each window of x [N, …, C]; padding counts as -infinity. */
export const maxPool1d = pooling(1, 'maxPool1d', Number.NEGATIVE_INFINITY, largest);
export const maxPool2d = pooling(2, 'maxPool2d', Number.NEGATIVE_INFINITY, largest);
export const maxPool3d = pooling(3, 'maxPool3d', Number.NEGATIVE_INFINITY, largest);
/** Mean of each window of x [N, …, C]; padding counts as 0. */
export const avgPool1d = pooling(1, 'avgPool1d', 0, meanOf);
export const avgPool2d = pooling(2, 'avgPool2d', 0, meanOf);
export const avgPool3d = pooling(3, 'avgPool3d', 0, meanOf);
