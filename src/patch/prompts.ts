// Prompts that models are compared on when there are no others: twenty beginnings of different kinds of text.

export const validationPrompts: readonly string[] = [
  'Once upon a time, there was a little girl who',
  'The capital of France is',
  'To make a good cup of tea, first',
  'The three primary colours are red,',
  'def fibonacci(n):\n    """The n-th Fibonacci number."""\n',
  'SELECT name, price FROM products WHERE',
  '{"name": "Ada", "languages": ["English",',
  'Dear Sir or Madam,\n\nI am writing to',
  'Water boils at 100 degrees Celsius because',
  'In 1969, the first people landed on the Moon.',
  'Question: What is the largest planet of the solar system?\nAnswer:',
  'List of things to buy:\n1. milk\n2. bread\n3.',
  'The cat sat on the mat and looked at the dog. The dog',
  'If x + 3 = 7, then x =',
  'function add(a, b) {\n  return',
  '# Weekly report\n\n## Summary\n',
  'She opened the old wooden door and saw',
  'The difference between a virus and a bacterium is that',
  'Monday, Tuesday, Wednesday,',
  'User: Hello, how are you today?\nAssistant:',
];

/** Token ids for a model without a tokenizer: the same each time. */
export const validationTokens = (vocabSize: number, length = 16): readonly (readonly number[])[] => {
  let state = 1;
  return validationPrompts.map(() =>
    Array.from({ length }, () => {
      state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
      return state % vocabSize;
    }),
  );
};
