// Loads the model that the user chooses, and streams its answers into the page.

import { load } from 'ingot/web';

const [files, status, messages] = ['files', 'status', 'messages'].map((id) => document.getElementById(id));
const form = document.querySelector('form');
const conversation = [];
let model;

const megabytes = (bytes) => (bytes / 1e6).toFixed(0);

files.addEventListener('change', async () => {
  form.lastElementChild.disabled = true;
  model?.dispose();
  try {
    model = await load([...files.files], {
      onProgress: ({ bytesDone, bytesTotal }) => {
        status.textContent = `Loading, ${megabytes(bytesDone)} of ${megabytes(bytesTotal)} MB`;
      },
    });
    status.textContent = `${model.info.name}: ${model.info.family}, ${model.info.format}`;
    form.lastElementChild.disabled = false;
  } catch (error) {
    status.textContent = error.message;
  }
});

function paragraph(className, text) {
  const element = Object.assign(document.createElement('p'), { className, textContent: text });
  messages.append(element);
  return element;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const content = form.elements.text.value;
  form.reset();
  form.lastElementChild.disabled = true;
  conversation.push({ role: 'user', content });
  paragraph('user', content);
  const answer = paragraph('assistant', '');
  try {
    const stream = model.chat(conversation, { maxTokens: 500 });
    for await (const text of stream) answer.textContent += text;
    conversation.push({ role: 'assistant', content: answer.textContent });
    const { generatedTokens, decodeMs } = stream.stats;
    status.textContent = `${generatedTokens} tokens, ${((1000 * generatedTokens) / decodeMs).toFixed(1)}/s`;
  } catch (error) {
    answer.textContent = error.message;
  }
  form.lastElementChild.disabled = false;
});
