// The alphabet in which byte-level BPE vocabularies spell bytes: printable Latin-1 characters stand for themselves, the
// other 68 bytes for U+0100 onwards, in order. Introduced with GPT-2.

const printable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

/** The character of each byte. */
export const byteAlphabet: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

const byteOfChar: ReadonlyMap<string, number> = new Map(byteAlphabet.map((char, byte) => [char, byte]));

const utf8 = new TextEncoder();

/** Bytes of a token spelled in the alphabet; undefined when it uses any other character. */
export function bytesOfSpelling(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfChar.get(token.charAt(i));
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

const printableAscii = /^[!-~]*$/;
const spelling = /^[!-~\u00a1-\u00ac\u00ae-\u0143]*$/;

/** Whether a token uses the alphabet only. */
export const isSpelled = (token: string): boolean => spelling.test(token);

/** Spells the UTF-8 bytes of `text` in the alphabet. */
export function spell(text: string): string {
  if (printableAscii.test(text)) return text;
  let out = '';
  for (const byte of utf8.encode(text)) out += byteAlphabet[byte] ?? '';
  return out;
}
