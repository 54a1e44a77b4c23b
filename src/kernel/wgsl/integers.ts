// Integers wider than WGSL has: high words of products, and 64-bit numbers as vec2(low, high).

/** `multiply_high(a, b)`: the upper 32 bits of a product. */
export const multiplyHigh = `fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}
`;

/** `add64`, `subtract64`, `at_least64(a, b)`, and `scale64(a, f)`: a times f / 2^32, rounded down. Needs `multiplyHigh`. */
export const integers64 = `fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn subtract64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn at_least64(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y > b.y || (a.y == b.y && a.x >= b.x); }
fn scale64(a: vec2<u32>, f: u32) -> vec2<u32> {
  return add64(vec2(multiply_high(a.x, f), 0u), vec2(a.y * f, multiply_high(a.y, f)));
}
`;
