// Checks the links of a built site: each names a file that is there, and a place in it that is there.
// Use: node tools/check-links.mjs [folder, default docs/site]

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import process from 'node:process';

const site = resolve(process.argv[2] ?? 'docs/site');
if (!existsSync(site)) {
  console.error(
    `there is no site in ${relative('.', site)}: \`npm run docs\` builds it and checks its links`,
  );
  process.exit(1);
}
const pages = readdirSync(site, { recursive: true })
  .map((name) => join(site, String(name)))
  // Files that pages only hand out are not pages of the site.
  .filter((path) => path.endsWith('.html') && !path.startsWith(join(site, 'media')));
const text = new Map(pages.map((path) => [path, readFileSync(path, 'utf8')]));
const places = new Map();

/** Ids of a page. */
function placesOf(path) {
  if (!places.has(path))
    places.set(
      path,
      new Set([...(text.get(path) ?? '').matchAll(/\sid="([^"]+)"/g)].map(([, id]) => decode(id))),
    );
  return places.get(path);
}

const decode = (value) => {
  const plain = value.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
};

const problems = [];
let count = 0;
for (const [path, html] of text) {
  for (const [, link] of html.matchAll(/<(?:a|link|script|img)\b[^>]*?\s(?:href|src)="([^"]+)"/g)) {
    if (/^([a-z]+:|\/\/)/i.test(link)) continue;
    count++;
    const [file = '', place] = link.split('#');
    const target = file === '' ? path : resolve(dirname(path), decode(file.split('?')[0]));
    const page = existsSync(target) && statSync(target).isDirectory() ? join(target, 'index.html') : target;
    const found = existsSync(page);
    const wrong = !found || (place && text.has(page) && !placesOf(page).has(decode(place)));
    if (wrong) problems.push(`${relative(site, path)}: ${link}`);
  }
}
for (const problem of problems) console.log(problem);
console.log(`${pages.length} pages, ${count} links, ${problems.length} broken`);
process.exitCode = problems.length === 0 ? 0 : 1;
