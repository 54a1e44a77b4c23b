// Philox4x32-10, a counter-based random generator: https://doi.org/10.1145/2063384.2063405

const multiplierA = 0xd2511f53n;
const multiplierB = 0xcd9e8d57n;
const weylA = 0x9e3779b9n;
const weylB = 0xbb67ae85n;
const mask = 0xffffffffn;

/** First 32-bit word of the block with key (seed, 0) and counter (step, 0, 0, 0). */
export function philox(seed: number, step: number): number {
  let [k0, k1] = [BigInt(seed >>> 0), 0n];
  let c: readonly [bigint, bigint, bigint, bigint] = [BigInt(step >>> 0), 0n, 0n, 0n];
  for (let round = 0; round < 10; round++) {
    const a = multiplierA * c[0];
    const b = multiplierB * c[2];
    c = [(b >> 32n) ^ c[1] ^ k0, b & mask, (a >> 32n) ^ c[3] ^ k1, a & mask];
    k0 = (k0 + weylA) & mask;
    k1 = (k1 + weylB) & mask;
  }
  return Number(c[0]);
}
