// One streamed chat over HTTP, and when its pieces came.

export interface StreamResult {
  readonly text: string;
  readonly tokens: number;
  readonly promptTokens: number;
  /** From the request to the first piece of text, or to the end of an answer without any; undefined when nothing came. */
  readonly firstTokenMs: number | undefined;
  /** When each piece of text came, by `performance.now()`. */
  readonly pieces: readonly number[];
  /** What went wrong; an abort is nothing wrong. */
  readonly error: string | undefined;
}

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

/** Streams an answer to `messages`. Never rejects. */
export async function streamChat(
  url: string,
  model: string,
  messages: readonly object[],
  { maxTokens, signal }: { readonly maxTokens: number; readonly signal?: AbortSignal },
): Promise<StreamResult> {
  const start = performance.now();
  const result = {
    text: '',
    tokens: 0,
    promptTokens: 0,
    firstTokenMs: undefined as number | undefined,
    pieces: [] as number[],
  };
  const body = {
    model,
    messages,
    max_tokens: maxTokens,
    ignore_eos: true,
    temperature: 1,
    stream: true,
    stream_options: { include_usage: true },
  };
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
    if (!response.ok || !response.body) throw new Error(`${response.status} ${await response.text()}`);
    for await (const chunk of events(response.body)) {
      if (chunk.error) throw new Error(chunk.error.message);
      const [choice] = chunk.choices;
      const text = choice?.delta.content ?? '';
      if (text !== '' || choice?.finish_reason) result.firstTokenMs ??= performance.now() - start;
      result.text += text;
      if (text !== '') result.pieces.push(performance.now());
      if (chunk.usage)
        [result.tokens, result.promptTokens] = [chunk.usage.completion_tokens, chunk.usage.prompt_tokens];
    }
    return { ...result, error: undefined };
  } catch (error) {
    return {
      ...result,
      error: signal?.aborted ? undefined : error instanceof Error ? error.message : String(error),
    };
  }
}

async function* events(body: AsyncIterable<Uint8Array>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data: {')) yield JSON.parse(line.slice(6)) as Chunk;
    }
  }
}
