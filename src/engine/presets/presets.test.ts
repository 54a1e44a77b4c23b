import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { formatModelfile, parseModelfile, withParameter } from './modelfile.ts';
import { onTopOf, type Preset, presetOptions } from './preset.ts';
import { findPreset, listPresets, removePreset, writePreset } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'ingot-presets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const env = { dataDir: folder };

const text = `# Mario
FROM smollm2:135m
parameter temperature 0.5
PARAMETER num_predict -1
PARAMETER stop "a\\n"
PARAMETER stop <|x|>
PARAMETER num_ctx 4096
SYSTEM """You are Mario.
Say "it's me"."""
TEMPLATE {{ messages[0].content }}
MESSAGE user Hi
MESSAGE assistant """Hello
there"""
LICENSE MIT
`;
const preset: Preset = {
  from: 'smollm2:135m',
  parameters: { temperature: 0.5, maxTokens: undefined, stop: ['a\n', '<|x|>'], contextLength: 4096 },
  system: 'You are Mario.\nSay "it\'s me".',
  template: '{{ messages[0].content }}',
  license: 'MIT',
  messages: [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello\nthere' },
  ],
};

test('instructions become a preset, and come back', () => {
  expect(parseModelfile(text, 'Modelfile')).toEqual(preset);
  expect(parseModelfile(formatModelfile(preset), 'again')).toEqual(preset);
});

test('texts of any kind come back from a file', () => {
  const any = fc.string({ unit: 'grapheme' }).map((each) => each.replaceAll('"""', '').replaceAll('\r', ''));
  fc.assert(
    fc.property(any, any, (system, said) => {
      const made: Preset = { ...preset, system, messages: [{ role: 'user', content: said }] };
      expect(parseModelfile(formatModelfile(made), 'x')).toEqual(made);
    }),
  );
});

test.each([
  ['SYSTEM x', /^f: FROM: is missing/],
  ['FROM a\nFROM b', /line 2: FROM stands here a second time/],
  ['FROM', /line 1: FROM has no value/],
  ['FROM a\nADAPTER x', /line 2: ADAPTER is not supported/],
  ['FROM a\nFORM b', /line 2: FORM is no instruction; there are FROM, PARAMETER/],
  ['FROM a\nPARAMETER mirostat 1', /line 2: there is no parameter "mirostat"; there are temperature, top_k/],
  ['FROM a\nPARAMETER temperature warm', /line 2: temperature must be a number, got "warm"/],
  ['FROM a\nPARAMETER top_p 2', /line 2: topP must be a number above 0 and at most 1, got 2/],
  ['FROM a\nMESSAGE robot x', /roles are system, user and assistant/],
  ['FROM a\nSYSTEM """x\ny', /line 2: """ is opened and never closed/],
  [
    'FROM a\nTEMPLATE {{ if .System }}{{ .Prompt }}{{ end }}',
    /line 2: .*Go's language.*templates here are Jinja/,
  ],
  ['FROM a\nTEMPLATE {% for %}', /line 2: the chat template cannot be read/],
])('%j is refused with its line', (source, message) => {
  expect(() => parseModelfile(source, 'f')).toThrow(message);
});

test('a preset of a preset has what both say', () => {
  const whole = onTopOf(preset, {
    from: 'mario',
    parameters: { temperature: 1 },
    system: undefined,
    messages: [{ role: 'user', content: 'More' }],
  });
  expect(whole).toMatchObject({
    from: 'smollm2:135m',
    system: preset.system,
    parameters: { temperature: 1 },
  });
  expect(whole.messages).toHaveLength(3);
});

test('what a caller says comes before the preset', () => {
  const options = presetOptions(preset, {
    contextLength: 512,
    defaults: { system: 'Be kind', seed: undefined },
  });
  expect(options).toMatchObject({
    contextLength: 512,
    chatTemplate: preset.template,
    defaults: { temperature: 0.5, system: 'Be kind', stop: ['a\n', '<|x|>'], messages: preset.messages },
  });
});

test('a parameter is known by both names', () => {
  expect(withParameter({}, 'topK 3')).toEqual({ topK: 3 });
  expect(withParameter({ topK: 3 }, 'top_k 4')).toEqual({ topK: 4 });
});

test('presets are kept, listed, found with a tag, and removed', async () => {
  expect(await listPresets(env)).toEqual([]);
  await writePreset('me/mario:v1', preset, env);
  await writePreset('gpt-4o:latest', preset, env);
  expect((await listPresets(env)).map(({ name }) => name)).toEqual(['gpt-4o', 'me/mario:v1']);
  expect(await findPreset('me/mario:v1', env)).toEqual(preset);
  expect(await findPreset('gpt-4o:latest', env)).toEqual(await findPreset('gpt-4o', env));
  expect(await findPreset('x'.repeat(5000), env)).toBeUndefined();
  expect(await removePreset('gpt-4o', env)).toBe(true);
  expect(await removePreset('gpt-4o', env)).toBe(false);
  for (const name of ['', '../x', 'a b', 'x.gguf', 'smollm2:135m'])
    await expect(writePreset(name, preset, env), name).rejects.toThrow(/cannot be a preset's name/);
  const file = join(folder, 'presets', readdirSync(join(folder, 'presets'))[0] ?? '');
  writeFileSync(file, 'NONSENSE');
  await expect(findPreset('me/mario:v1', env)).rejects.toThrow(/line 1: NONSENSE is no instruction/);
  expect(await listPresets(env)).toEqual([]);
});
