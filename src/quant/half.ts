// Conversions between f32 and the 16-bit float types, which are stored as their bits. Rounding is to nearest, ties to
// even; subnormals, signed zeros, infinities and NaN survive in both directions.

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the f32 nearest to `value`. */
export function f32ToBits(value: number): number {
  float[0] = value;
  return bits[0] as number;
}

/** The f32 with these bits. */
export function bitsToF32(word: number): number {
  bits[0] = word;
  return float[0] as number;
}

/** The value of an f16 given by its bits. Exact. */
export function f16ToF32(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return bitsToF32(((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13));
}

/** Bits of the f16 nearest to the f32 `value`; overflow gives infinity. */
export function f32ToF16(value: number): number {
  const word = f32ToBits(value);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN, quiet
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13); // normal: rebias by 112 << 23
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const exponent = magnitude >>> 23;
  return sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
}

/** The value of a bf16 given by its bits. Exact. */
export const bf16ToF32 = (brain: number): number => bitsToF32(brain << 16);

/** Bits of the bf16 nearest to the f32 `value`. */
export function f32ToBf16(value: number): number {
  const word = f32ToBits(value);
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40; // NaN stays NaN when its low bits are cut
  return ((word >>> 16) + roundUp(word, 16)) & 0xffff;
}

const roundShift = (word: number, shift: number): number => (word >>> shift) + roundUp(word, shift);

/** 1 when cutting the low `shift` bits of a word must round up: above the half, or at it with an odd result. */
function roundUp(word: number, shift: number): number {
  const half = 2 ** (shift - 1);
  const rest = (word & (2 ** shift - 1)) >>> 0;
  return rest > half || (rest === half && (word >>> shift) & 1) ? 1 : 0;
}

/** The value of an 8-bit e4m3 given by its bits: no infinities, the largest magnitude is 448. Exact. */
export function e4m3ToF32(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const fraction = byte & 7;
  if ((byte & 0x7f) === 0x7f) return Number.NaN;
  const magnitude = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

/** Bits of the e4m3 nearest to `value`, ties to even; what is too large becomes 448. */
export function f32ToE4m3(value: number): number {
  if (Number.isNaN(value)) return 0x7f;
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0;
  const magnitude = Math.min(448, Math.abs(value));
  const exponent = Math.max(-6, (f32ToBits(magnitude) >>> 23) - 127);
  const steps = roundEven(magnitude * 2 ** (3 - exponent));
  return sign | (exponent === -6 ? steps : ((exponent + 7) << 3) + steps - 8);
}

/** The nearest integer to a number below 2^31, ties to even. */
export function roundEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/** Types that scales are stored in. `e8m0` is a power of two, here its half: 2^(byte - 128). */
export type StoredFloat = 'f32' | 'f16' | 'bf16' | 'e8m0' | 'e4m3';

/** The value of a stored float given by its bits. */
export function bitsToFloat(dtype: StoredFloat, stored: number): number {
  switch (dtype) {
    case 'f32':
      return bitsToF32(stored);
    case 'f16':
      return f16ToF32(stored);
    case 'bf16':
      return bf16ToF32(stored);
    case 'e8m0':
      return 2 ** (stored - 128);
    case 'e4m3':
      return e4m3ToF32(stored);
  }
}

/** Bits of a value stored as `dtype`. */
export function floatToBits(dtype: 'f32' | 'f16' | 'bf16', value: number): number {
  if (dtype === 'f32') return f32ToBits(value);
  return dtype === 'f16' ? f32ToF16(value) : f32ToBf16(value);
}
