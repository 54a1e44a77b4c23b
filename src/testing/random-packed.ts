// Random packed weights of any layout, also those no case of an op asks for.

import {
  checkedLayout,
  codesBytes,
  layoutKinds,
  metaFields,
  metaRecord,
  panelBytes,
  panelRows,
  quantizedSpec,
  type WeightLayout,
} from '../quant/layout.ts';

/** f16 bits of a number that f16 can hold, or bf16 bits: for scales, where any near number does. */
const halfBits = (x: number): number => {
  const bits = new Uint32Array(new Float32Array([x]).buffer)[0] ?? 0;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  return ((bits >>> 16) & 0x8000) | (Math.min(30, Math.max(0, exponent)) << 10) | ((bits >>> 13) & 0x3ff);
};
const bfloatBits = (x: number): number => (new Uint32Array(new Float32Array([x]).buffer)[0] ?? 0) >>> 16;

/** A matrix of N rows and K columns whose codes are uniform and whose scales are about `size`. */
export function randomPacked(
  layout: WeightLayout,
  N: number,
  K: number,
  uniform: () => number,
  size = 0.02,
): Uint8Array {
  const panel = panelBytes(layout, K);
  const bytes = new Uint8Array(Math.ceil(N / panelRows) * panel);
  const view = new DataView(bytes.buffer);
  const number = (): number => (2 * uniform() - 1) * size;
  const put = (at: number, width: number, bf16: boolean): void => {
    if (width === 4) view.setFloat32(at, number(), true);
    else if (width === 2) view.setUint16(at, bf16 ? bfloatBits(number()) : halfBits(number()), true);
    else if (layout.metaDtype === 'e8m0')
      bytes[at] = 118 + Math.floor(uniform() * 5); // up to 2^-6
    else if (layout.metaDtype === 'e4m3') bytes[at] = Math.floor(uniform() * 24);
    else bytes[at] = Math.floor(uniform() * 64);
  };
  const quantised = metaFields(layout).length > 0;
  const floats = quantizedSpec(layout.kind)?.e4m3 === true;
  const width = layout.kind === 'f32' ? 4 : 2;
  for (let p = 0; p < bytes.length; p += panel) {
    const codes = codesBytes(layout, K);
    if (quantised) {
      for (let i = 0; i < codes; i++) {
        const byte = Math.floor(uniform() * 256);
        bytes[p + i] = floats && (byte & 0x7f) === 0x7f ? 0 : byte; // no number
      }
    } else for (let i = 0; i < codes; i += width) put(p + i, width, layout.kind === 'bf16');
    let at = p + codes;
    const records = quantised ? K / metaRecord(layout).columns : 0;
    for (let r = 0; r < records; r++) {
      for (const field of metaFields(layout)) {
        for (let lane = 0; lane < panelRows; lane++, at += field) put(at, field, layout.metaDtype === 'bf16');
      }
    }
  }
  clearPadding(layout, bytes, N, K);
  return bytes;
}

/** Odd K of bf16 is padded with zeros. */
function clearPadding(layout: WeightLayout, bytes: Uint8Array, N: number, K: number): void {
  if (layout.kind !== 'bf16' || K % 2 === 0) return;
  const panel = panelBytes(layout, K);
  for (let p = 0; p < Math.ceil(N / panelRows); p++) {
    for (let lane = 0; lane < panelRows; lane++) {
      const at = p * panel + ((K - 1) / 2) * 64 + lane * 4 + 2;
      bytes.fill(0, at, at + 2);
    }
  }
}

/** Every kind of layout once; groups and types of scales, where there are several, take turns. */
export const everyLayout: readonly WeightLayout[] = layoutKinds.map((kind, i) => {
  const { groups = [1], scales = ['f16' as const] } = quantizedSpec(kind) ?? {};
  return checkedLayout(kind, groups[i % groups.length] ?? 1, scales[i % scales.length] ?? 'f16');
});
