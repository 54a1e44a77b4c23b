import process from 'node:process';
import { load } from 'ingot';

const openGpu = () =>
  load(process.argv[2], { device: 'webgpu' }).then(
    () => 'opened',
    (error) => error.message,
  );
try {
  const model = await load(process.argv[2], { device: 'cpu' });
  const answer = await model.ask('Hi', { maxTokens: 4, seed: 1 });
  model.dispose();
  process.stdout.write(JSON.stringify({ tokens: answer.stats.generatedTokens, gpu: await openGpu() }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error.message }));
}
