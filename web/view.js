// What is on the screen: messages as elements, drawn from data.

import { copyText } from './copy.js';
import { markdown } from './markdown.js';
import { mathElement } from './math.js';

/** An element with attributes and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') made.addEventListener('click', value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Elements of a tree of markdown; code gets its head, tables a scroller. */
function render(tree) {
  if (typeof tree === 'string') return tree;
  const [tag, attributes, ...children] = tree;
  if (tag === 'pre') return codeBlock(attributes['data-language'], children[0][2] ?? '');
  if (tag === 'math') return mathElement(children[0], attributes.display === 'block');
  const made = element(tag, attributes, ...children.map(render));
  if (tag !== 'table') return made;
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Table' }, made);
}

function codeBlock(language, code) {
  const shown = element('code', { 'data-language': language ?? '' }, code);
  const pre = element('pre', { tabindex: '0', 'aria-label': `${language || 'plain'} code` }, shown);
  const head = element('span', {}, language || 'code');
  return element(
    'div',
    { class: 'code' },
    element('div', { class: 'code-head' }, head, copyButton('code')),
    pre,
  );
}

/** Copies what is there when it is pressed: the code beside it, or the answer it belongs to. */
function copyButton(what, text) {
  const label = what === 'code' ? 'Copy code' : 'Copy answer';
  const button = element('button', { type: 'button', class: 'copy', 'aria-label': label }, 'Copy');
  button.addEventListener('click', async () => {
    const code = button.closest('.code')?.querySelector('code');
    const done = await copyText(what === 'code' ? (code?.textContent ?? '') : text());
    button.textContent = done ? 'Copied' : 'Could not copy';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  });
  return button;
}

/**
 * Makes `old` what `next` is, in place: nodes that are the same stay, and so does what is selected in them. A text that goes on is
 * only added to.
 */
export function morph(old, next) {
  if (old.nodeType === Node.TEXT_NODE && next.nodeType === Node.TEXT_NODE) {
    if (next.data.startsWith(old.data)) old.appendData(next.data.slice(old.data.length));
    else if (next.data !== old.data) old.data = next.data;
    return;
  }
  const isButton = old.nodeName === 'BUTTON';
  const isFormula = old.dataset?.math !== undefined;
  const same =
    old.nodeName === next.nodeName &&
    (!isButton || labelOf(old) === labelOf(next)) &&
    old.dataset?.math === next.dataset?.math;
  if (!same) return void old.replaceWith(next);
  // A button keeps its handler and what it says of a press; a formula is drawn by its library.
  if (isButton || isFormula) return;
  for (const { name, value } of next.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  // What a reader has opened or closed is theirs.
  for (const { name } of [...old.attributes])
    if (!next.hasAttribute(name) && !(old.nodeName === 'DETAILS' && name === 'open'))
      old.removeAttribute(name);
  const before = [...old.childNodes];
  const after = [...next.childNodes];
  after.forEach((child, i) => {
    if (i < before.length) morph(before[i], child);
    else old.append(child);
  });
  for (const child of before.slice(after.length)) child.remove();
}

const labelOf = (button) => button.getAttribute('aria-label') ?? button.textContent;

/** The list item of a message. */
export function messageView(message, { busy, onRegenerate }) {
  if (message.role === 'user') return element('li', { class: 'user', 'aria-label': 'You' }, message.content);
  const empty = message.content === '' && !message.reasoning;
  return element(
    'li',
    { class: 'assistant', 'aria-label': 'Answer', 'aria-busy': String(busy) },
    thought(message, busy),
    element(
      'div',
      { class: busy && empty ? 'body waiting' : 'body' },
      ...markdown(message.content).map(render),
    ),
    message.error ? element('p', { class: 'error' }, message.error) : undefined,
    busy ? undefined : footer(message, onRegenerate),
  );
}

function thought({ reasoning, content }, busy) {
  if (!reasoning) return undefined;
  const thinking = busy && content === '';
  const details = element(
    'details',
    { class: 'thought' },
    element('summary', {}, thinking ? 'Thinking…' : 'Thoughts'),
    element('div', {}, reasoning),
  );
  details.open = thinking;
  return details;
}

function footer(message, onRegenerate) {
  return element(
    'div',
    { class: 'foot' },
    message.content === '' ? undefined : copyButton('answer', () => message.content),
    onRegenerate ? element('button', { type: 'button', onclick: onRegenerate }, 'Regenerate') : undefined,
    element('span', { class: 'speed' }, speedOf(message)),
  );
}

/** "38.2 tokens/s · 120 tokens · stopped by you", and what experts did that are read from disk. */
export function speedOf({ tokens, seconds, end, experts }) {
  const parts = [];
  if (tokens > 1 && seconds > 0) parts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
  if (tokens > 0) parts.push(`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`);
  if (experts) parts.push(...expertParts(experts));
  if (end === 'length') parts.push('cut at the longest answer');
  if (end === 'stopped') parts.push('stopped');
  if (end === 'interrupted') parts.push('interrupted when the page was left');
  return parts.join(' · ');
}

/** "81 % of experts in memory", "1.2 GB read", "88 % of the 5.1 tokens/s that the disk allows", "4.2 % of choices gave way" */
function expertParts({ hit_rate, bytes_read, ceiling, share_of_ceiling, substituted_share }) {
  const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
  const parts = [`${percent(hit_rate)} of experts in memory`];
  if (bytes_read > 0) parts.push(`${(bytes_read / 1e9).toPrecision(2)} GB read`);
  if (ceiling > 0)
    parts.push(`${percent(share_of_ceiling)} of the ${ceiling.toPrecision(3)} tokens/s that the disk allows`);
  if (substituted_share !== undefined) parts.push(`${percent(substituted_share, 1)} of choices gave way`);
  return parts;
}
