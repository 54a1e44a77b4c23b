// `ingot/server` in a process of one's own: the app is a function from Request to Response and needs no socket.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createServerApp } from '../../src/server/index.ts';
import { ScriptedModel } from '../../src/testing/scripted-model.ts';

test('an app without a socket answers, also in streams, and refuses once it is closed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-mount-'));
  const path = join(folder, 'tiny.gguf');
  await writeFile(path, 'scripted');
  const model = new ScriptedModel({ name: 'tiny', answer: () => 'hello' });
  const app = await createServerApp({
    configured: [{ name: 'tiny', path }],
    cacheDir: undefined,
    aliases: new Map(),
    load: async () => model,
  });
  const ask = (body: object): Promise<Response> =>
    Promise.resolve(
      app.fetch(
        new Request('http://127.0.0.1/v1/chat/completions', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'x' }], ...body }),
        }),
      ),
    );
  const whole = await ask({});
  expect(await whole.json()).toMatchObject({ choices: [{ message: { content: 'hello' } }] });
  expect(await (await ask({ stream: true })).text()).toMatch(/data: \[DONE\]\n\n$/);
  await app.close();
  expect(model.disposed).toBe(true);
  expect((await ask({})).status).toBe(503);
  await rm(folder, { recursive: true, force: true });
});
