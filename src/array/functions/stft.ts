// Short-time Fourier transforms: spectra of overlapping frames, and the signal back from them.

import { IngotError } from '../../base/errors.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, full } from '../creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { scatterAdd } from '../ops/indexing/scatter-add.ts';
import { take } from '../ops/indexing/take.ts';
import { type Complex, type FftNorm, fft, ifft, irfft, rfft } from './fft.ts';
import { type PadMode, pad } from './shape.ts';
import { alongAxis, axisOf } from './terms.ts';

export interface StftOptions {
  /** Elements of a frame; default 2048, of istft what the spectra say. */
  readonly nFft?: number;
  /** Samples from one frame to the next; default a quarter of a frame. */
  readonly hopLength?: number;
  /** Elements of the window, which stands in the middle of the frame; default nFft. */
  readonly winLength?: number;
  /** Default: ones. */
  readonly window?: NDArray;
  /** Frames are centred at their times: half a frame is added at both ends. Default true. */
  readonly center?: boolean;
  readonly padMode?: PadMode;
  readonly norm?: FftNorm;
  /** Only frequencies from 0 up; default true for real numbers. */
  readonly onesided?: boolean;
}

export interface IstftOptions extends StftOptions {
  /** Samples of the result: cut off or filled with zeros. */
  readonly length?: number;
}

function windowOf(n: number, { winLength = n, window }: StftOptions): NDArray {
  const w = window ?? full([winLength], 1);
  const [, size] = axisOf(w, 0, 'stft: window');
  if (size > n)
    throw new IngotError('invalid_argument', `stft: a window of ${size} is longer than a frame of ${n}`);
  const left = (n - size) >> 1;
  return pad(w, [[left, n - size - left]]);
}

const stftNames = ['nFft', 'hopLength', 'winLength', 'window', 'center'] as const;

/** Spectra of the frames of x [..., samples]: [..., frequencies, frames], as MLX gives them. */
export function stft(
  x: NDArray,
  ...given: Given<
    [
      nFft: number,
      hopLength: number,
      winLength: number,
      window: NDArray,
      center: boolean,
      padMode: PadMode,
      norm: FftNorm,
      onesided: boolean,
    ],
    StftOptions
  >
): Complex {
  const names = [...stftNames, 'padMode', 'norm', 'onesided'] as const;
  const options = named<StftOptions>('stft', names, given);
  const { nFft: n = 2048, hopLength = Math.floor(n / 4), center = true, padMode = 'reflect', norm } = options;
  const edges = x.shape.map((_, i) =>
    i === x.shape.length - 1 ? ([n >> 1, n >> 1] as const) : ([0, 0] as const),
  );
  const signal = center ? pad(x, edges, padMode) : x;
  const [last, samples] = axisOf(signal, -1, 'stft');
  const count = Math.floor((samples - n) / hopLength) + 1;
  if (count < 1) throw new IngotError('shape_mismatch', `stft: ${samples} samples are no frame of ${n}`);
  const places = arange(count)
    .mul(hopLength)
    .reshape([count, 1])
    .add(arange(n).reshape([1, n]));
  const frames = take(signal, places, last).mul(windowOf(n, options));
  const how = norm === undefined ? {} : { norm };
  const { real, imag } = options.onesided === false ? fft(frames, how) : rfft(frames, how);
  const swap = (y: NDArray): NDArray => y.swapaxes(-1, -2);
  return { real: swap(real), imag: swap(imag) };
}

/** The signal of spectra [..., frequencies, frames]: frames are added up and divided by the sum of the squares of the window. */
export function istft(
  x: Complex,
  ...given: Given<
    [
      nFft: number,
      hopLength: number,
      winLength: number,
      window: NDArray,
      center: boolean,
      norm: FftNorm,
      onesided: boolean,
      length: number,
    ],
    IstftOptions
  >
): NDArray {
  const names = [...stftNames, 'norm', 'onesided', 'length'] as const;
  const options = named<IstftOptions>('istft', names, given, ['padMode']);
  const { onesided = true, center = true, norm } = options;
  const [, frequencies] = axisOf(x.real, -2, 'istft');
  const n = options.nFft ?? (onesided ? 2 * (frequencies - 1) : frequencies);
  const hop = options.hopLength ?? Math.floor(n / 4);
  const swap = (y: NDArray): NDArray => y.swapaxes(-1, -2);
  const spectra = { real: swap(x.real), imag: swap(x.imag) };
  const how = norm === undefined ? {} : { norm };
  const frames = onesided ? irfft(spectra, { n, ...how }) : ifft(spectra, how).real;
  const window = windowOf(n, options);
  const [, count] = axisOf(frames, -2, 'istft');
  const samples = (count - 1) * hop + n;
  const places = arange(count)
    .mul(hop)
    .reshape([count, 1])
    .add(arange(n).reshape([1, n]))
    .reshape([-1]);
  const batch = frames.shape.slice(0, -2);
  const added = scatterAdd(
    frames
      .mul(window)
      .reshape([-1, count * n])
      .transpose(),
    places,
    samples,
  ).transpose();
  const weight = scatterAdd(window.square().broadcastTo([count, n]).reshape([-1]), places, samples);
  const signal = added.div(where(weight.gt(1e-11), weight, 1)).reshape([...batch, samples]);
  const start = center ? n >> 1 : 0;
  const end = options.length === undefined ? samples - start : Math.min(samples, start + options.length);
  const cut = alongAxis(signal, signal.shape.length - 1, [start, Math.max(start, end)]);
  const [last, have] = axisOf(cut, -1, 'istft');
  if (options.length === undefined || have >= options.length) return cut;
  return pad(
    cut,
    cut.shape.map(
      (_, i) => (i === last ? [0, (options.length as number) - have] : [0, 0]) as [number, number],
    ),
  );
}
