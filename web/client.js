// Talks to the server: models, and answers as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html).

const headers = (apiKey) => ({
  'content-type': 'application/json',
  ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
});

/** What the server says is wrong, as a sentence. */
async function problemOf(response) {
  const body = await response.json().catch(() => undefined);
  const said = body?.error?.message ?? `The server answered ${response.status}.`;
  if (response.status === 401) return `${said} Put the key into the settings.`;
  const wait = response.headers.get('retry-after');
  return response.status === 429 && wait ? `${said} Try again in ${wait} s.` : said;
}

/** `fetch`, with a sentence for what each browser words in its own way. */
async function ask(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw options.signal?.aborted ? error : new Error('The server cannot be reached.');
  }
}

/** Names of the models. */
export async function listModels(apiKey) {
  const response = await ask('v1/models', { headers: headers(apiKey) });
  if (!response.ok) throw new Error(await problemOf(response));
  return (await response.json()).data.map(({ id }) => id);
}

/** Chunks of an answer; `onDropped` is told how many old messages were left out. Throws an Error whose message can be shown. */
export async function* streamAnswer(request, { apiKey, signal, onDropped = () => {} }) {
  const response = await ask('v1/chat/completions', {
    method: 'POST',
    headers: headers(apiKey),
    // A conversation that outgrows the context loses its oldest turns, and the page says so.
    body: JSON.stringify({
      ...request,
      truncation: 'auto',
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (!response.ok) throw new Error(await problemOf(response));
  onDropped(Number(response.headers.get('x-ingot-dropped-messages') ?? 0));
  for await (const data of eventData(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message ?? 'The answer broke off.');
    yield chunk;
  }
  throw new Error('The answer broke off.');
}

/** The data of each event of a stream, in whatever pieces it comes. */
export async function* eventData(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new Error('The answer broke off.');
      });
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim();
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
