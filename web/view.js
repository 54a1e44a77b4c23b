// What is on the screen: messages as elements, drawn from data.

import { markdown } from './markdown.js';

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
  const made = element(tag, attributes, ...children.map(render));
  return tag === 'table' ? element('div', { class: 'scroll', tabindex: '0' }, made) : made;
}

function codeBlock(language, code) {
  return element(
    'div',
    { class: 'code' },
    element(
      'div',
      { class: 'code-head' },
      element('span', {}, language || 'code'),
      copyButton(() => code),
    ),
    element('pre', { tabindex: '0' }, element('code', {}, code)),
  );
}

function copyButton(text) {
  const button = element('button', { type: 'button' }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Could not copy';
    }
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  });
  return button;
}

/** The list item of a message. */
export function messageView(message, { busy, onRegenerate }) {
  if (message.role === 'user') return element('li', { class: 'user' }, message.content);
  const empty = message.content === '' && !message.reasoning;
  return element(
    'li',
    { class: 'assistant' },
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

function thought({ reasoning, content, open }, busy) {
  if (!reasoning) return undefined;
  const thinking = busy && content === '';
  const details = element(
    'details',
    { class: 'thought' },
    element('summary', {}, thinking ? 'Thinking…' : 'Thoughts'),
    element('div', {}, reasoning),
  );
  details.open = open ?? thinking;
  return details;
}

function footer(message, onRegenerate) {
  return element(
    'div',
    { class: 'foot' },
    message.content === '' ? undefined : copyButton(() => message.content),
    onRegenerate ? element('button', { type: 'button', onclick: onRegenerate }, 'Regenerate') : undefined,
    element('span', { class: 'speed' }, speedOf(message)),
  );
}

/** "38.2 tokens/s · 120 tokens · stopped by you" */
export function speedOf({ tokens, seconds, end }) {
  const parts = [];
  if (tokens > 1 && seconds > 0) parts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
  if (tokens > 0) parts.push(`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`);
  if (end === 'length') parts.push('cut at the longest answer');
  if (end === 'stopped') parts.push('stopped');
  return parts.join(' · ');
}
