import { expect, test } from 'vitest';
import { writtenForm } from './convert.ts';

test('families that are written as GGUF say so, others are refused by name', () => {
  const form = (modelType: string, architecture: string) =>
    writtenForm({ config: { model_type: modelType, architectures: [architecture] }, path: 'm' });
  expect(form('mistral', 'MistralForCausalLM')).toMatchObject({
    architecture: 'llama',
    interleavedRows: true,
  });
  expect(form('qwen3_moe', 'Qwen3MoeForCausalLM')).toMatchObject({ architecture: 'qwen3moe' });
  expect(() => form('gemma2', 'Gemma2ForCausalLM')).toThrow(
    'm: models of type "gemma2" cannot be written as GGUF, only llama, mistral, qwen3, qwen3_moe; use MLX or safetensors',
  );
});
