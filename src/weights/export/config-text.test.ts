import { expect, it } from 'vitest';
import { configText } from './config-text.ts';

it('floats of the source stay floats, whole numbers whole', () => {
  const source =
    '{"a": 0.0, "b": 1e4, "n": 3, "s": "x: 1.0", "deep": {"factor": 8.0, "size": 2}, "eps": 1e-05}';
  const text = configText({ ...JSON.parse(source), added: 1 }, source);
  for (const line of ['"a": 0.0,', '"b": 10000.0,', '"n": 3,', '"factor": 8.0,', '"size": 2', '"added": 1'])
    expect(text).toContain(line);
  expect(JSON.parse(text)).toEqual({ ...JSON.parse(source), added: 1 });
});

it('without a source those that are known as floats', () => {
  expect(configText({ rope_theta: 10000, num_heads: 4 })).toBe(
    '{\n  "rope_theta": 10000.0,\n  "num_heads": 4\n}\n',
  );
});
