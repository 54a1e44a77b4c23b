import { expect, test } from 'vitest';
import { WordWrap } from './wrap.ts';

/** `text` in pieces of every size, as a model may give it, wrapped at `columns`. */
function wrapped(text: string, columns: number): string {
  const results = new Set(
    [1, 2, 3, 7, text.length].map((size) => {
      const wrap = new WordWrap(() => columns);
      let out = '';
      for (let i = 0; i < text.length; i += size) out += wrap.push(text.slice(i, i + size));
      return out + wrap.end();
    }),
  );
  expect(results.size).toBe(1);
  return [...results].join();
}

test.each([
  ['lines break between words', 'the quick brown fox jumps', 10, 'the quick\nbrown fox\njumps'],
  ['a line may be full to its last column', 'aaaa bbbbb cc', 10, 'aaaa bbbbb\ncc'],
  ['breaks of the text itself stay', 'one\n\n  two three\n', 10, 'one\n\n  two\nthree\n'],
  ['a word longer than a line stands alone', 'a bcdefghijklmno p', 5, 'a\nbcdefghijklmno\np'],
  ['wide characters count twice, and break anywhere', '鉄と金と銀です', 6, '鉄と金\nと銀で\nす'],
  ['indentation stays', '    if (x) y()', 40, '    if (x) y()'],
])('%s', (_, text, columns, expected) => {
  expect(wrapped(text, columns)).toBe(expected);
});

test('a window that grows is asked again', () => {
  let columns = 5;
  const wrap = new WordWrap(() => columns);
  const first = wrap.push('aaa bbb ');
  columns = 80;
  expect(first + wrap.push('ccc ddd') + wrap.end()).toBe('aaa\nbbb ccc ddd');
});
