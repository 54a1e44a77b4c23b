// Markdown as a tree of elements: [tag, attributes, ...children], where a child is a tree or a string. Nothing of the text is
// ever read as HTML, so a model cannot bring markup, scripts or requests into the page.

/** @typedef {string | [tag: string, attributes: Record<string, string>, ...children: unknown[]]} Tree */

const fence = /^( {0,3})(`{3,}|~{3,})\s*([\w+#.-]*).*$/;
const heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const rule = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const item = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const quote = /^ {0,3}> ?(.*)$/;
const tableRule = /^\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?)?\s*$/;
const formulaStart = /^ {0,3}(\$\$|\\\[)(.*)$/;
const maxDepth = 12;

/** Blocks of a text. An unfinished text gives what is there of it: a fence without its end is code to the end. */
export function markdown(text, depth = 0) {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const blocks = [];
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length > 0) blocks.push(['p', {}, ...inline(paragraph.join('\n').trim())]);
    paragraph = [];
  };
  for (let i = 0; i < lines.length; ) {
    const line = lines[i];
    const block = depth < maxDepth ? blockAt(lines, i, paragraph.length > 0, depth) : undefined;
    if (block) {
      endParagraph();
      blocks.push(block.tree);
      i = block.next;
      continue;
    }
    if (line.trim() === '') endParagraph();
    else paragraph.push(line);
    i++;
  }
  endParagraph();
  return blocks;
}

/** The block other than a paragraph that begins at a line, and the line after it. */
function blockAt(lines, i, inParagraph, depth) {
  const line = lines[i];
  if (fence.test(line)) return codeAt(lines, i);
  if (formulaStart.test(line)) return formulaAt(lines, i);
  const title = heading.exec(line);
  if (title) return { tree: [`h${title[1].length}`, {}, ...inline(title[2])], next: i + 1 };
  if (rule.test(line)) return { tree: ['hr', {}], next: i + 1 };
  if (quote.test(line)) return quoteAt(lines, i, depth);
  if (item.test(line) && !(inParagraph && /^\s*(\d+[.)]|[-*+]\s*$)/.test(line) && !/^\s*1[.)]/.test(line))) {
    return listAt(lines, i, depth);
  }
  if (line.includes('|') && tableRule.test(lines[i + 1] ?? '')) return tableAt(lines, i);
  return undefined;
}

function codeAt(lines, i) {
  const [, indent, marks, language] = fence.exec(lines[i]);
  const code = [];
  let next = i + 1;
  for (; next < lines.length; next++) {
    const closing = lines[next].trim();
    if (closing.startsWith(marks) && closing.replaceAll(marks[0], '') === '') break;
    code.push(lines[next].startsWith(indent) ? lines[next].slice(indent.length) : lines[next].trimStart());
  }
  const tree = ['pre', { 'data-language': language }, ['code', {}, code.join('\n')]];
  return { tree, next: next + 1 };
}

/** A formula that stands alone: between $$ and $$, or \\[ and \\]. Undefined while its end has not come. */
function formulaAt(lines, i) {
  const [, opening, first] = formulaStart.exec(lines[i]);
  const closing = opening === '$$' ? '$$' : '\\]';
  const inner = [];
  for (let next = i; next < lines.length && next < i + 60; next++) {
    const line = next === i ? first : lines[next];
    const end = line.trimEnd().endsWith(closing) ? line.trimEnd().slice(0, -2) : undefined;
    inner.push(end ?? line);
    if (end === undefined) continue;
    const source = inner.join('\n').trim();
    return source === '' ? undefined : { tree: ['math', { display: 'block' }, source], next: next + 1 };
  }
  return undefined;
}

function quoteAt(lines, i, depth) {
  const inner = [];
  let next = i;
  for (; next < lines.length && lines[next].trim() !== ''; next++) {
    inner.push(quote.exec(lines[next])?.[1] ?? lines[next]);
  }
  return { tree: ['blockquote', {}, ...markdown(inner.join('\n'), depth + 1)], next };
}

function listAt(lines, i, depth) {
  const [, indent, mark] = item.exec(lines[i]);
  const ordered = /\d/.test(mark);
  const items = [];
  let loose = false;
  let next = i;
  while (next < lines.length) {
    const start = item.exec(lines[next]);
    if (!start || start[1].length > indent.length + 3 || /\d/.test(start[2]) !== ordered) break;
    if (start[1].length < indent.length || (rule.test(lines[next]) && items.length > 0)) break;
    const width = start[1].length + start[2].length + 1;
    const inner = [start[3] ?? ''];
    for (next++; next < lines.length; next++) {
      const line = lines[next];
      const space = line.length - line.trimStart().length;
      if (line.trim() === '') {
        const after = lines[next + 1] ?? '';
        const continues = after.trim() !== '' && after.length - after.trimStart().length >= width;
        if (!continues && !item.test(after)) break;
        if (continues) inner.push('');
        loose ||= continues;
        if (!continues) {
          next++;
          break;
        }
      } else if (space > indent.length && space >= Math.min(width, indent.length + 2))
        inner.push(line.slice(Math.min(space, width)));
      else if (item.test(line) || fence.test(line) || heading.test(line)) break;
      else inner.push(line.trimStart());
    }
    items.push(inner.join('\n'));
  }
  const children = items.map((text) => {
    const blocks = markdown(text, depth + 1);
    const [first, ...rest] = blocks;
    return ['li', {}, ...(!loose && first?.[0] === 'p' ? [...first.slice(2), ...rest] : blocks)];
  });
  const start =
    ordered && Number.parseInt(mark, 10) !== 1 ? { start: String(Number.parseInt(mark, 10)) } : {};
  return { tree: [ordered ? 'ol' : 'ul', start, ...children], next };
}

function tableAt(lines, i) {
  const cells = (line) =>
    line
      .trim()
      .replace(/^\||(?<!\\)\|$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => inline(cell.trim().replaceAll('\\|', '|')));
  const row = (tag, line) => ['tr', {}, ...cells(line).map((cell) => [tag, {}, ...cell])];
  const body = [];
  let next = i + 2;
  for (; next < lines.length && lines[next].includes('|'); next++) body.push(row('td', lines[next]));
  return { tree: ['table', {}, ['thead', {}, row('th', lines[i])], ['tbody', {}, ...body]], next };
}

const spans = [
  {
    pattern: /^(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/,
    tree: (m) => ['code', {}, m[2].replaceAll('\n', ' ').trim() || m[2]],
  },
  { pattern: /^\\\(([\s\S]+?)\\\)/, tree: (m) => ['math', { display: 'inline' }, m[1].trim()] },
  { pattern: /^\$\$([^$\n]+)\$\$/, tree: (m) => ['math', { display: 'inline' }, m[1].trim()] },
  // Prices are no formulas: no space inside the signs, and no digit after them.
  {
    pattern: /^\$(?![\s\d]*\s)([^$\n]*[^$\s\\])\$(?!\d)/,
    tree: (m) => ['math', { display: 'inline' }, m[1]],
  },
  { pattern: /^\\([!-/:-@[-`{-~])/, tree: (m) => m[1] },
  { pattern: /^\*\*(?=\S)([\s\S]*?\S)\*\*(?!\*)/, tree: (m, d) => ['strong', {}, ...inline(m[1], d)] },
  {
    pattern: /^__(?=\S)([\s\S]*?\S)__(?!\w)/,
    tree: (m, d) => ['strong', {}, ...inline(m[1], d)],
    word: true,
  },
  { pattern: /^\*(?=[^\s*])([\s\S]*?[^\s*])\*(?!\*)/, tree: (m, d) => ['em', {}, ...inline(m[1], d)] },
  {
    pattern: /^_(?=[^\s_])([\s\S]*?[^\s_])_(?!\w)/,
    tree: (m, d) => ['em', {}, ...inline(m[1], d)],
    word: true,
  },
  { pattern: /^~~(?=\S)([\s\S]*?\S)~~/, tree: (m, d) => ['del', {}, ...inline(m[1], d)] },
  {
    pattern: /^!?\[([^\]\n]*)\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/,
    tree: (m, d) => link(m[2], inline(m[1], d), m[0]),
  },
  { pattern: /^<?(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]*_])>?/, tree: (m) => link(m[1], [m[1]], m[0]) },
  { pattern: /^( {2,}|\\)\n/, tree: () => ['br', {}] },
];

/** A link to the web or to a mail address; anything else stays text. */
function link(target, children, source) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return source;
  return ['a', { href: target, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...children];
}

/** Spans of a text. */
export function inline(text, depth = 0) {
  const trees = [];
  let plain = '';
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at, at + 4000);
    const found =
      depth < maxDepth && /[`*_~![<\\h $]/.test(rest[0]) ? spanAt(rest, text[at - 1], depth) : undefined;
    if (!found) {
      plain += text[at++];
      continue;
    }
    if (plain !== '') trees.push(plain);
    plain = '';
    trees.push(found.tree);
    at += found.length;
  }
  if (plain !== '') trees.push(plain);
  return trees;
}

function spanAt(rest, before, depth) {
  for (const { pattern, tree, word } of spans) {
    if (word && /\w/.test(before ?? '')) continue;
    const match = pattern.exec(rest);
    if (match) return { tree: tree(match, depth + 1), length: match[0].length };
  }
  return undefined;
}
