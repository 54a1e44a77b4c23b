// The conversation and the settings, kept in this browser.

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

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // The storage is full or closed to the page: the conversation lives until the page is left.
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

export function loadMessages() {
  const saved = read('ingot.messages', []);
  return Array.isArray(saved) ? saved.filter(isMessage) : [];
}
export const saveMessages = (messages) => write('ingot.messages', messages);

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
