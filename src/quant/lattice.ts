// What GGUF's IQ formats share: points of a lattice by number, and the signs of eight columns in seven bits.

/** Index of the magnitude of each coordinate, point after point. */
export interface Lattice {
  readonly dimensions: 4 | 8;
  readonly indices: Uint8Array;
}

/** Unpacks what grids.ts has. */
export function lattice(packed: string, dimensions: 4 | 8): Lattice {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const bits = 16 / dimensions;
  const indices = new Uint8Array((bytes.length / 2) * dimensions);
  for (let i = 0; i < indices.length; i++) {
    const point = Math.floor(i / dimensions);
    const word = (bytes[2 * point] as number) | ((bytes[2 * point + 1] as number) << 8);
    indices[i] = (word >> ((i % dimensions) * bits)) & (2 ** bits - 1);
  }
  return { dimensions, indices };
}

/** Seven signs; the eighth makes the number of minuses even. */
export function evenSigns(seven: number): number {
  let odd = seven;
  odd ^= odd >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return seven | ((odd & 1) << 7);
}

/** Writes the codes of a point from column `column`: `negative` is added to the index of a magnitude with a minus. */
export function putPoint(
  codes: Uint32Array,
  column: number,
  { dimensions, indices }: Lattice,
  point: number,
  signs: number,
  negative: number,
): void {
  for (let i = 0; i < dimensions; i++) {
    codes[column + i] = (indices[point * dimensions + i] as number) + ((signs >> i) & 1) * negative;
  }
}
