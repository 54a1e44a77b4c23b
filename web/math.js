// Formulas as MathML, which browsers draw themselves; the formula's text until the library is there, and where it is not.

let library;
const loading = import('./vendor/temml.js').then(
  ({ default: temml }) => {
    library = temml;
  },
  () => undefined,
);

/** The element of a formula in LaTeX. */
export function mathElement(source, display) {
  const made = document.createElement(display ? 'div' : 'span');
  made.className = display ? 'formula scroll' : 'formula';
  made.dataset.math = source;
  made.textContent = source;
  if (library) draw(made, source, display);
  else void loading.then(() => library && draw(made, source, display));
  return made;
}

function draw(made, source, display) {
  try {
    const markup = library.renderToString(source, { displayMode: display, throwOnError: true, trust: false });
    const parsed = new DOMParser().parseFromString(withoutStyles(markup), 'text/html').querySelector('math');
    if (parsed) made.replaceChildren(document.adoptNode(parsed));
  } catch {
    // What is no formula stays text.
  }
}

/** The page's policy has no styles in attributes; formulas are as readable without them. */
const withoutStyles = (markup) => markup.replaceAll(/ style="[^"]*"/g, '');
