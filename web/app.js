// The chat page: what is typed goes to the server, what comes back is drawn as it comes.

import { chatsView, download } from './chats.js';
import { listModels, streamAnswer } from './client.js';
import { highlight } from './highlight.js';
import {
  chatAsMarkdown,
  holdChat,
  loadSettings,
  newChat,
  openedChat,
  requestOf,
  saveChat,
  saveSettings,
} from './store.js';
import { element, messageView, morph } from './view.js';

const at = (id) => document.getElementById(id);
const [list, scroller, prompt, send, stop, status, model, dialog] = [
  ...['messages', 'scroller', 'prompt', 'send', 'stop', 'status', 'model', 'settings'],
].map(at);
const settings = loadSettings();
let chat = openedChat();
holdChat(chat);
/** Ends the answer that is coming; undefined when none is. */
let running;

function draw() {
  const { messages } = chat;
  at('welcome').hidden = messages.length > 0;
  list.replaceChildren(...messages.map((message, i) => viewOf(message, i)));
  highlight(list);
  document.title = chat.title ? `${chat.title} · Ingot` : 'Ingot';
}

function viewOf(message, i) {
  const isLast = i === chat.messages.length - 1;
  return messageView(message, {
    busy: running !== undefined && isLast,
    onRegenerate: isLast ? regenerate : undefined,
  });
}

/** Draws the last message again, and stays at the end of the page if that is in view. */
function drawLast() {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  const last = chat.messages.length - 1;
  const before = list.lastElementChild;
  // What has not changed stays, and with it what is selected in it.
  if (before) morph(before, viewOf(chat.messages[last], last));
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

let drawing = false;
let coloured = 0;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (chat.messages.length > 0) drawLast();
    // Colours may come a little later than the text.
    if (performance.now() - coloured < 250) return;
    coloured = performance.now();
    highlight(list);
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
  at('told').textContent = 'The answer is coming.';
  const asked = chat;
  const { messages } = asked;
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
        keepSoon();
      }
      if (choice?.finish_reason) message.end = choice.finish_reason;
      if (chunk.usage) {
        message.tokens = chunk.usage.completion_tokens;
        message.experts = chunk.usage.experts;
      }
    }
  } catch (error) {
    // What ended with the page itself is marked when it is read again.
    if (leaving) return;
    if (controller.signal.aborted) message.end = 'stopped';
    else message.error = error.message;
  }
  if (!message.end && !message.error) message.end = 'stop';
  if (running === controller) running = undefined;
  clearTimeout(keeping);
  keeping = undefined;
  keep(asked);
  // The conversation may have been left meanwhile.
  if (chat === asked) {
    drawLast();
    highlight(list);
    document.title = chat.title ? `${chat.title} · Ingot` : 'Ingot';
    status.textContent = message.error
      ? 'The answer failed.'
      : dropped > 0
        ? `The conversation is longer than the context: its oldest ${dropped} messages were left out.`
        : status.textContent;
    at('told').textContent = said(message);
  }
  showControls();
}

/** What screen readers are told of an answer, which the page shows anyway. */
const said = ({ end }) => (end === 'stopped' ? 'The answer was stopped.' : 'The answer is complete.');

/** Keeps the conversation, also while it grows: a reload finds what had come. */
function keep(which = chat) {
  if (which.messages.length > 0 && !saveChat(which))
    status.textContent = 'The browser has no room for this conversation: delete others, or export it.';
}
let keeping;
function keepSoon() {
  keeping ??= setTimeout(() => {
    keeping = undefined;
    if (running) keep();
  }, 400);
}

function ask(text) {
  if (running || text.trim() === '') return;
  chat.messages.push({ role: 'user', content: text.trim() });
  keep();
  prompt.value = '';
  void answer();
}

function regenerate() {
  if (running || chat.messages.at(-1)?.role !== 'assistant') return;
  chat.messages.pop();
  void answer();
}

function show(next) {
  running?.abort();
  running = undefined;
  chat = next;
  holdChat(chat);
  status.textContent = '';
  draw();
  showControls();
  scroller.scrollTop = scroller.scrollHeight;
  prompt.focus();
}

const startAnew = () => show(newChat());

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
  const command = (event.ctrlKey || event.metaKey) && event.shiftKey;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  const key = event.key.toLowerCase();
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) running?.abort();
  else if (command && key === 'o') startAnew();
  else if (command && key === 'h') showChats();
  else if (command && key === 'c' && lastAnswer()) lastAnswer().click();
  else if (key === '/' && !typing) prompt.focus();
  else return;
  if (event.key !== 'Escape') event.preventDefault();
});
const lastAnswer = () => list.querySelector('li:last-child .foot .copy');

const chats = at('chats');
function showChats() {
  if (chats.open) return;
  chatsView(at('chat-list'), {
    current: chat,
    onOpen: (next) => {
      chats.close();
      show(next);
    },
    onRemoved: (id) => {
      if (id === chat.id) startAnew();
    },
  });
  chats.showModal();
}
at('open-chats').addEventListener('click', showChats);
at('export').addEventListener('click', () => {
  if (chat.messages.length > 0) download(`${chat.title || 'chat'}.md`, chatAsMarkdown(chat), 'text/markdown');
});
// Left in the middle of an answer: what has come is kept.
let leaving = false;
addEventListener('pagehide', () => {
  if (running) keep();
  leaving = true;
});
addEventListener('pageshow', () => {
  leaving = false;
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
// The model of last time is shown until the server has said which there are.
if (settings.model !== '') model.append(element('option', { value: settings.model }, settings.model));
draw();
showControls();
scroller.scrollTop = scroller.scrollHeight;
void showModels();
