import { load } from 'ingot/web';

export async function greet(source: File): Promise<string> {
  const model = await load(source);
  let text = '';
  for await (const part of model.chat([{ role: 'user', content: 'Hi' }])) text += part;
  return text;
}
