import { expect, test } from 'vitest';
import { readEnv } from './env.ts';

test('defaults follow the XDG and Hugging Face rules', () => {
  const env = readEnv({ HOME: '/h' });
  expect(env.hfHubCache).toBe('/h/.cache/huggingface/hub');
  expect(env.cacheDir).toBe('/h/.cache/ingot');
  expect(env.hfEndpoint).toBe('https://huggingface.co');
  expect(env.offline).toBe(false);
  expect(readEnv({ HOME: '/h', XDG_CACHE_HOME: '/c' }).hfHubCache).toBe('/c/huggingface/hub');
  expect(readEnv({ HOME: '/h', XDG_CACHE_HOME: '/c' }).cacheDir).toBe('/c/ingot');
});

test('more specific variables win', () => {
  expect(readEnv({ HF_HOME: '/a' }).hfHubCache).toBe('/a/hub');
  expect(readEnv({ HF_HOME: '/a', HF_HUB_CACHE: '/b' }).hfHubCache).toBe('/b');
  expect(readEnv({ HF_ENDPOINT: 'https://mirror.example//' }).hfEndpoint).toBe('https://mirror.example');
});

test('an empty variable counts as unset and odd numbers are ignored', () => {
  expect(readEnv({ HOME: '/h', HF_HOME: '' }).hfHome).toBe('/h/.cache/huggingface');
  expect(readEnv({ INGOT_THREADS: '3' }).threads).toBe(3);
  for (const bad of ['0', '-1', '1.5', 'many', ''])
    expect(readEnv({ INGOT_THREADS: bad }).threads).toBeUndefined();
  expect(readEnv({ NO_COLOR: '' }).noColor).toBe(false);
  expect(readEnv({ NO_COLOR: '1' }).noColor).toBe(true);
});

test('the snapshot cannot be changed', () => {
  const env = readEnv({});
  expect(() => Object.assign(env, { offline: true })).toThrow(TypeError);
  expect(() => Object.assign(env.pip, { cert: 'x' })).toThrow(TypeError);
});
