// The page's markdown as a tree: what becomes what, and that no text becomes anything else.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
// @ts-expect-error a plain module of the page, without types
import { markdown } from '../../web/markdown.js';

type Tree = string | [tag: string, attributes: Record<string, string>, ...children: Tree[]];
const trees = (text: string): Tree[] => markdown(text) as Tree[];

/** Trees as tags around texts. */
const brief = (tree: Tree): string =>
  typeof tree === 'string'
    ? tree
    : `<${tree[0]}>${tree
        .slice(2)
        .map((child) => brief(child as Tree))
        .join('')}</${tree[0]}>`;

describe('markdown', () => {
  it.each([
    ['a\nb\n\nc', '<p>a\nb</p><p>c</p>'],
    ['# One\n### Three ###', '<h1>One</h1><h3>Three</h3>'],
    ['**a _b_** `c*` ~~d~~', '<p><strong>a <em>b</em></strong> <code>c*</code> <del>d</del></p>'],
    ['2 * 3 * 4, snake_case_name, a*', '<p>2 * 3 * 4, snake_case_name, a*</p>'],
    ['\\*a\\*', '<p>*a*</p>'],
    ['- a\n- b\n  - c\n\nd', '<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>d</p>'],
    ['3. a\n4. b', '<ol><li>a</li><li>b</li></ol>'],
    ['- a\n\n  more\n- b', '<ul><li><p>a</p><p>more</p></li><li><p>b</p></li></ul>'],
    ['> a\n> - b', '<blockquote><p>a</p><ul><li>b</li></ul></blockquote>'],
    ['```js\na\n\n# b\n```\nc', '<pre><code>a\n\n# b</code></pre><p>c</p>'],
    ['```\nunfinished', '<pre><code>unfinished</code></pre>'],
    [
      'a | b\n--|--\n1 | `x`',
      '<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><code>x</code></td></tr></tbody></table>',
    ],
    ['a\n\n---\nb', '<p>a</p><hr></hr><p>b</p>'],
    ['<b>x</b> &amp;', '<p><b>x</b> &amp;</p>'],
    ['see https://a.b/c_d.', '<p>see <a>https://a.b/c_d</a>.</p>'],
    ['[x](data:text/html,y) [z](HTTPS://a)', '<p>[x](data:text/html,y) <a>z</a></p>'],
  ])('%j', (text, expected) => {
    expect(trees(text).map(brief).join('')).toBe(expected);
  });
});

const allowed = new Set(
  'p h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code table thead tbody tr th td hr br a strong em del'.split(
    ' ',
  ),
);

function check(tree: Tree): void {
  if (typeof tree === 'string') return;
  const [tag, attributes, ...children] = tree;
  expect(allowed).toContain(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (tag === 'a') {
      expect(['href', 'target', 'rel']).toContain(name);
      if (name === 'href') expect(value).toMatch(/^(https?:\/\/|mailto:)/i);
    } else expect(['start', 'data-language']).toContain(name);
  }
  children.forEach(check);
}

it('makes only elements that are harmless, of any text, and keeps its words', () => {
  const pieces = [
    ...[
      '# ',
      '- ',
      '1. ',
      '> ',
      '```',
      '```html\n',
      '\n',
      '\n\n',
      '    ',
      '  ',
      '|',
      '|--|--|\n',
      '---\n',
      '*',
      '**',
      '_',
      '`',
      '~~',
    ],
    ...[
      '[',
      '](',
      ')',
      '!',
      '<',
      '>',
      'javascript:alert(1)',
      'https://a.b',
      '<script>',
      'onerror=',
      '"',
      '\\',
      '&lt;',
      'WORD',
    ],
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (parts) => {
      const text = parts.join('');
      const made = trees(text);
      made.forEach(check);
      const words = (s: string): number => s.split('WORD').length;
      // Words in the address of a link and after the name of a fence's language are not shown.
      if (!/\]\(|`{3}|~{3}/.test(text)) expect(words(made.map(brief).join(''))).toBe(words(text));
    }),
    { numRuns: 3000 },
  );
});
