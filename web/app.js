// The chat page: what is typed goes to the server, what comes back is drawn as it comes.

import { listModels, streamAnswer } from './client.js';
import { loadMessages, loadSettings, requestOf, saveMessages, saveSettings } from './store.js';
import { element, messageView } from './view.js';

const at = (id) => document.getElementById(id);
const [list, scroller, prompt, send, stop, status, model, dialog] = [
  ...['messages', 'scroller', 'prompt', 'send', 'stop', 'status', 'model', 'settings'],
].map(at);
const settings = loadSettings();
const messages = loadMessages();
/** Ends the answer that is coming; undefined when none is. */
let running;

function draw() {
  at('welcome').hidden = messages.length > 0;
  list.replaceChildren(...messages.map((message, i) => viewOf(message, i)));
}

function viewOf(message, i) {
  const isLast = i === messages.length - 1;
  return messageView(message, {
    busy: running !== undefined && isLast,
    onRegenerate: isLast ? regenerate : undefined,
  });
}

/** Draws the last message again, and stays at the end of the page if that is in view. */
function drawLast() {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  const last = messages.length - 1;
  const before = list.lastElementChild;
  const details = before?.querySelector('details');
  if (details && details.open !== (messages[last].content === '')) messages[last].open = details.open;
  before?.replaceWith(viewOf(messages[last], last));
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (messages.length > 0) drawLast();
  });
}

function showControls() {
  stop.hidden = running === undefined;
  send.hidden = running !== undefined;
  send.disabled = prompt.value.trim() === '';
}

/** Asks for an answer to the conversation, which ends with a message of the user. */
async function answer() {
  const controller = new AbortController();
  running = controller;
  status.textContent = '';
  const request = requestOf(messages, settings);
  const message = { role: 'assistant', content: '', reasoning: '', tokens: 0, seconds: 0 };
  messages.push(message);
  draw();
  scroller.scrollTop = scroller.scrollHeight;
  showControls();
  let first;
  let dropped = 0;
  try {
    const { signal } = controller;
    const options = { apiKey: settings.apiKey, signal, onDropped: (count) => (dropped = count) };
    for await (const chunk of streamAnswer(request, options)) {
      const choice = chunk.choices?.[0];
      const { content, reasoning_content: reasoning } = choice?.delta ?? {};
      if (content || reasoning) {
        message.content += content ?? '';
        message.reasoning += reasoning ?? '';
        message.tokens++;
        first ??= performance.now();
        message.seconds = (performance.now() - first) / 1000;
        drawSoon();
      }
      if (choice?.finish_reason) message.end = choice.finish_reason;
      if (chunk.usage) message.tokens = chunk.usage.completion_tokens;
    }
  } catch (error) {
    if (controller.signal.aborted) message.end = 'stopped';
    else message.error = error.message;
  }
  if (running === controller) running = undefined;
  // The conversation may have been left meanwhile.
  if (messages.at(-1) === message) {
    saveMessages(messages);
    drawLast();
    status.textContent = message.error
      ? 'The answer failed.'
      : dropped > 0
        ? `The conversation is longer than the context: its oldest ${dropped} messages were left out.`
        : '';
  }
  showControls();
}

function ask(text) {
  if (running || text.trim() === '') return;
  messages.push({ role: 'user', content: text.trim() });
  saveMessages(messages);
  prompt.value = '';
  void answer();
}

function regenerate() {
  if (running || messages.at(-1)?.role !== 'assistant') return;
  messages.pop();
  void answer();
}

function startAnew() {
  running?.abort();
  running = undefined;
  messages.length = 0;
  saveMessages(messages);
  status.textContent = '';
  draw();
  showControls();
  prompt.focus();
}

async function showModels() {
  try {
    const names = await listModels(settings.apiKey);
    if (!names.includes(settings.model)) settings.model = names[0] ?? '';
    model.replaceChildren(...names.map((name) => element('option', { value: name }, name)));
    model.value = settings.model;
    status.textContent = names.length === 0 ? 'The server has no models.' : '';
  } catch (error) {
    status.textContent = error.message;
  }
}

function showTheme() {
  if (settings.theme === '') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
}

at('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  ask(prompt.value);
});
prompt.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(prompt.value);
});
prompt.addEventListener('input', showControls);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !dialog.open) running?.abort();
});
stop.addEventListener('click', () => running?.abort());
at('new').addEventListener('click', startAnew);
model.addEventListener('change', () => {
  settings.model = model.value;
  saveSettings(settings);
});
for (const idea of document.querySelectorAll('.ideas button')) {
  idea.addEventListener('click', () => ask(idea.textContent));
}

const form = dialog.querySelector('form');
at('open-settings').addEventListener('click', () => {
  for (const field of form.elements) if (field.name) field.value = settings[field.name];
  dialog.showModal();
});
dialog.addEventListener('close', () => {
  const key = settings.apiKey;
  for (const field of form.elements)
    if (field.name && field.validity.valid) settings[field.name] = field.value;
  saveSettings(settings);
  showTheme();
  if (settings.apiKey !== key) void showModels();
});

showTheme();
draw();
showControls();
scroller.scrollTop = scroller.scrollHeight;
void showModels();
