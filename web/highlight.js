// Colours of code, over the text and not in it: the text stays one node, so what is selected in it stays selected while it grows.
// https://developer.mozilla.org/docs/Web/API/CSS_Custom_Highlight_API

/** A highlighter of the library's, once it is there; pages without it show code without colours. */
let library;
const loading = import('./vendor/highlight.js').then(
  ({ default: hljs }) => {
    library = hljs;
  },
  () => undefined,
);

/** Names of the library's classes by the colours there are. */
const colours = {
  keyword: /keyword|built_in|literal|selector-tag|name$|tag$/,
  string: /string|regexp|addition|char/,
  number: /number|symbol|bullet/,
  comment: /comment|quote|deletion|meta/,
  title: /title|section|function|class|attr|property|type|variable/,
};
const highlights = new Map();
for (const name of Object.keys(colours)) {
  if (!globalThis.Highlight || !CSS.highlights) break;
  highlights.set(name, new Highlight());
  CSS.highlights.set(`code-${name}`, highlights.get(name));
}
/** What each block has: its text, and its ranges, so that they can be taken back. */
const painted = new Map();
const longest = 20_000;

/** Colours the code that is on the page below `root`; what is not on the page any more is forgotten. */
export function highlight(root) {
  if (highlights.size === 0) return;
  if (!library) return void loading.then(() => library && highlight(root));
  for (const [code, { ranges }] of painted) {
    if (code.isConnected) continue;
    takeBack(ranges);
    painted.delete(code);
  }
  for (const code of root.querySelectorAll('pre > code')) paint(code);
}

const takeBack = (ranges) => {
  for (const [highlighter, range] of ranges) highlighter.delete(range);
};

function paint(code) {
  const text = code.textContent;
  const before = painted.get(code);
  if (before?.text === text) return;
  takeBack(before?.ranges ?? []);
  const { language } = code.dataset;
  const node = code.firstChild;
  const ranges = [];
  painted.set(code, { text, ranges });
  if (!node || text.length > longest || !library.getLanguage(language ?? '')) return;
  const { value } = library.highlight(text, { language, ignoreIllegals: true });
  for (const { from, to, colour } of pieces(value)) {
    const range = new Range();
    range.setStart(node, from);
    range.setEnd(node, to);
    const highlighter = highlights.get(colour);
    highlighter.add(range);
    ranges.push([highlighter, range]);
  }
}

/** Parts of a text that have a colour, from the library's markup, which is read and never put into the page. */
function pieces(markup) {
  const found = [];
  let at = 0;
  const walk = (node, colour) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (colour && node.data.length > 0) found.push({ from: at, to: at + node.data.length, colour });
      at += node.data.length;
      return;
    }
    const own = Object.keys(colours).find((name) => colours[name].test(node.className ?? ''));
    for (const child of node.childNodes) walk(child, own ?? colour);
  };
  walk(new DOMParser().parseFromString(`<pre>${markup}</pre>`, 'text/html').body.firstChild);
  return found;
}
