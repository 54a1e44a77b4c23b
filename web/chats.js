// The list of conversations: open, take along, delete.

import { chatAsMarkdown, listChats, removeChat } from './store.js';
import { element } from './view.js';

/** Hands a file to the user. */
export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const safe = name
    .replaceAll(/[^\p{L}\p{N} ._-]+/gu, ' ')
    .trim()
    .slice(0, 80);
  element('a', { href: address, download: safe || 'chat' }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Fills `list`; `onOpen` gets a conversation, `onRemoved` the id of one that is gone. */
export function chatsView(list, { current, onOpen, onRemoved }) {
  const chats = listChats();
  const redraw = () => chatsView(list, { current, onOpen, onRemoved });
  const button = (text, label, onclick) =>
    element('button', { type: 'button', class: 'quiet', 'aria-label': label, onclick }, text);
  list.replaceChildren(
    ...chats.map((chat) => {
      const name = chat.title || 'Untitled';
      const date = new Date(chat.updated).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
      const open = element(
        'button',
        {
          type: 'button',
          class: 'chat',
          ...(chat.id === current.id ? { 'aria-current': 'true' } : {}),
          onclick: () => onOpen(chat),
        },
        element('span', {}, name),
        element('small', {}, date),
      );
      return element(
        'li',
        {},
        open,
        button('Export', `Export ${name}`, () =>
          download(`${name}.md`, chatAsMarkdown(chat), 'text/markdown'),
        ),
        button('Delete', `Delete ${name}`, () => {
          removeChat(chat.id);
          onRemoved(chat.id);
          redraw();
        }),
      );
    }),
    ...(chats.length === 0 ? [element('li', { class: 'none' }, 'No conversations yet.')] : []),
  );
  const all = document.getElementById('export-all');
  all.hidden = chats.length === 0;
  all.onclick = () => download('ingot-chats.json', JSON.stringify(listChats(), null, 2), 'application/json');
}
