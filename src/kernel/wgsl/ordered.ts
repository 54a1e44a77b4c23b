// The order of floats in unsigned integers.

/** `ordered_key(x)`: a larger key for a larger number; -0 is 0, and every NaN is above +infinity with one key. */
export const orderedKey = `fn ordered_key(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
`;

/** `key_value(key)`: the number that has a key. */
export const keyValue = `fn key_value(key: u32) -> f32 { return bitcast<f32>(select(~key, key ^ 0x80000000u, key >= 0x80000000u)); }
`;
