// A fixed division of the bytes into 32 sets, so that what a branch of the vocabulary holds is one number, and so is what a
// state takes without an end. Bytes that grammars often tell apart are in sets of their own.

/** Each text is a set; what is in none of them is divided below. */
const given = [
  ...['abcd', 'e', 'f', 'ghijklmnopqrstuvwxyz', 'ABCD', 'EF', 'GHIJKLMNOPQRSTUVWXYZ', '0', '123456789'],
  ...[' ', '\n', '\t\r', '"', '\\', '-', '_', '.', ',', ':', '/', '@', '+*?|^$', '{}[]', '()', '<>', "'"],
];
/** Further sets: other signs, the rest of ASCII, and the bytes of longer characters. */
const further = { signs: 26, controls: 27, inside: 28, two: 29, three: 30, four: 31 };

const divide = (byte: number): number => {
  const known = given.findIndex((bytes) => bytes.includes(String.fromCharCode(byte)));
  if (known >= 0) return known;
  if (byte < 0x20 || byte === 0x7f) return further.controls;
  if (byte < 0x80) return further.signs;
  if (byte < 0xc0) return further.inside;
  return byte < 0xe0 ? further.two : byte < 0xf0 ? further.three : further.four;
};

/** Byte -> the number of its set. */
export const setOf: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => divide(byte));

/** The sets all of whose bytes are among these, as bits. */
export function setsWithin(has: (byte: number) => boolean): number {
  let sets = -1;
  for (let byte = 0; byte < 256; byte++) if (!has(byte)) sets &= ~(1 << (setOf[byte] as number));
  return sets;
}
