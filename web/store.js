// Conversations and settings, kept in this browser. Each conversation has a place of its own, so that tabs do not write over each
// other.

const defaults = {
  model: '',
  system: '',
  temperature: '',
  topP: '',
  maxTokens: '',
  seed: '',
  thinking: '',
  theme: '',
  apiKey: '',
};

const read = (key, fallback) => {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
};

/** False when the storage is full or closed to the page: what is not kept lives until the page is left. */
function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function loadSettings() {
  const saved = read('ingot.settings', {});
  return Object.fromEntries(
    Object.entries(defaults).map(([key, value]) => [key, String(saved?.[key] ?? value)]),
  );
}
export const saveSettings = (settings) => write('ingot.settings', settings);

const isMessage = (each) =>
  typeof each?.content === 'string' && (each.role === 'user' || each.role === 'assistant');

const prefix = 'ingot.chat.';
/** Which conversation this tab has open; a tab keeps its own over reloads. */
const openKey = 'ingot.open';

function readChat(id) {
  const saved = read(prefix + id, undefined);
  if (!Array.isArray(saved?.messages)) return undefined;
  const messages = saved.messages.filter(isMessage);
  // An answer that has no end was cut off when the page was left.
  const last = messages.at(-1);
  if (last?.role === 'assistant' && !last.end && !last.error) last.end = 'interrupted';
  return { id, title: String(saved.title ?? ''), updated: Number(saved.updated) || 0, messages };
}

/** The conversation of versions that knew one only. */
function adoptOld() {
  const old = read('ingot.messages', []);
  if (!Array.isArray(old) || old.length === 0) return;
  const chat = { ...newChat(), messages: old.filter(isMessage) };
  if (saveChat(chat)) localStorage.removeItem('ingot.messages');
}

export const newChat = () => ({
  id: crypto.getRandomValues(new Uint32Array(3)).join('-'),
  title: '',
  updated: 0,
  messages: [],
});

/** The conversation of this tab: the one it had, or a new one. */
export function openedChat() {
  try {
    adoptOld();
    const id = sessionStorage.getItem(openKey);
    return (id && readChat(id)) || newChat();
  } catch {
    return newChat();
  }
}

/** This tab has `chat` from now on. */
export function holdChat({ id }) {
  try {
    sessionStorage.setItem(openKey, id);
  } catch {}
}

/**
 * Keeps a conversation; false when there is no room. One that another tab has changed meanwhile stays as it is: this tab's becomes
 * one of its own.
 */
export function saveChat(chat) {
  const stored = read(prefix + chat.id, undefined);
  if (stored && stored.updated !== chat.updated) {
    chat.id = newChat().id;
    holdChat(chat);
  }
  chat.title = titleOf(chat);
  chat.updated = Math.max(Date.now(), chat.updated + 1);
  return write(prefix + chat.id, chat);
}

const titleOf = ({ title, messages }) =>
  title || (messages.find(({ role }) => role === 'user')?.content ?? '').split('\n')[0].slice(0, 80);

export const removeChat = (id) => localStorage.removeItem(prefix + id);

/** All conversations, newest first. */
export function listChats() {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(prefix))
      .map((key) => readChat(key.slice(prefix.length)))
      .filter((chat) => chat && chat.messages.length > 0)
      .sort((a, b) => b.updated - a.updated);
  } catch {
    return [];
  }
}

/** A conversation as a text that people and other programs can read. */
export const chatAsMarkdown = ({ title, messages }) =>
  `# ${title}\n\n${messages.map(({ role, content }) => `## ${role === 'user' ? 'You' : 'Answer'}\n\n${content}\n`).join('\n')}`;

/** The request for an answer to `messages`. */
export function requestOf(messages, settings) {
  const number = (text) => (text === '' ? undefined : Number(text));
  const system = settings.system.trim();
  return {
    model: settings.model || undefined,
    messages: [
      ...(system === '' ? [] : [{ role: 'system', content: system }]),
      ...messages
        .filter(({ role, content }) => role === 'user' || content !== '')
        .map(({ role, content }) => ({ role, content })),
    ],
    temperature: number(settings.temperature),
    top_p: number(settings.topP),
    max_tokens: number(settings.maxTokens),
    seed: number(settings.seed),
    chat_template_kwargs:
      settings.thinking === '' ? undefined : { enable_thinking: settings.thinking === 'on' },
  };
}
