// WGSL pieces that kernels share.

/** `group_index(workgroup_id, num_workgroups)`: the number of a workgroup in a grid made by `grid`. */
export const groupIndex = `fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
`;

/** Elements of half floats stored in u32 words: `half_at(word, odd)` as f32 for f16 bits and bf16 bits. */
export const halfFunctions = `fn f16_at(word: u32, i: u32) -> f32 { return unpack2x16float(word)[i & 1u]; }
fn bf16_at(word: u32, i: u32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u)); }
`;

/** Bits of the nearest f16 (ties to even), overflow to infinity: pack2x16float may round either way. */
export const f16Rounding = `fn f16_bits(x: f32) -> u32 {
  let u = bitcast<u32>(x);
  let sign = (u >> 16u) & 0x8000u;
  let a = u & 0x7fffffffu;
  if (a > 0x7f800000u) { return sign | 0x7e00u; }
  if (a >= 0x477ff000u) { return sign | 0x7c00u; }
  if (a < 0x33000001u) { return sign; }
  if (a < 0x38800000u) {
    let shift = 126u - (a >> 23u);
    let m = (a & 0x7fffffu) | 0x800000u;
    let half = m >> shift;
    let rest = m & ((1u << shift) - 1u);
    let middle = 1u << (shift - 1u);
    return sign | (half + select(0u, 1u, rest > middle || (rest == middle && (half & 1u) == 1u)));
  }
  let r = a + 0xfffu + ((a >> 13u) & 1u);
  return sign | ((r - 0x38000000u) >> 13u);
}
fn f16_pair(a: f32, b: f32) -> u32 { return f16_bits(a) | (f16_bits(b) << 16u); }
`;

/** Bits of the nearest bf16 (ties to even). */
export const bf16Rounding = `fn bf16_bits(x: f32) -> u32 {
  let u = bitcast<u32>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) { return (u >> 16u) | 0x40u; }
  return (u + 0x7fffu + ((u >> 16u) & 1u)) >> 16u;
}
`;
