// Experts in a file of their own beside the model (`ingot pack --experts`): one request reads an expert, and the model's file keeps
// the rest. The file says what it was made from; one that is of another version of the model is not used.

import { existsSync } from 'node:fs';
import { IngotError } from '../base/errors.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { type ExpertTensors, expertTensors } from '../weights/experts.ts';
import { FileSource } from '../weights/file-source.ts';
import { type PackedFile, readPacked, type SourceFile } from '../weights/packed/format.ts';
import { fingerprint, packableTensors, sourceFiles, sourcesOf } from '../weights/packed/writer.ts';
import { dimensions } from '../weights/tensor.ts';

/** Where the experts of a model lie: a file's name, or that of a folder, with `.experts`. */
export const besidePath = (model: string): string => `${model.replace(/[/\\]+$/, '')}.experts`;

/**
 * The experts of a checkpoint from the file beside it; undefined when there is none. A file that is damaged, half written or of other
 * files than the checkpoint's is refused with a notice: then the model's own file is read.
 */
export async function expertsBeside(
  model: string,
  checkpoint: Checkpoint,
  onNotice: ((text: string) => void) | undefined,
): Promise<readonly ExpertTensors[] | undefined> {
  const path = besidePath(model);
  if (!existsSync(path)) return undefined;
  try {
    const source = await FileSource.open(path);
    try {
      return await fitting(path, await readPacked(source), checkpoint);
    } finally {
      await source.close(); // the device opens it by its path
    }
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    onNotice?.(`${error.message}; it is not used: \`ingot pack --experts\` writes it anew`);
    return undefined;
  }
}

/** Throws bad_file that says in what the files differ. */
async function fitting(
  path: string,
  file: PackedFile,
  checkpoint: Checkpoint,
): Promise<readonly ExpertTensors[]> {
  const { files = [], fingerprint: made } = file.header.source;
  const tensors = packableTensors(checkpoint);
  const now = await sourceFiles(sourcesOf(tensors));
  const other = differing(files, now);
  if (other !== undefined) throw new IngotError('bad_file', `${path}: ${other}`);
  if (made !== (await fingerprint(checkpoint, tensors)))
    throw new IngotError('bad_file', `${path}: was made when ${checkpoint.path} had another header`);
  const own = expertTensors(checkpoint);
  const beside = expertTensors({
    tensors: [...file.tensors.keys()],
    describe: (name) => file.tensors.get(name) ?? checkpoint.describe(name),
  });
  if (own.length !== beside.length || !own.every((layer, i) => sameExperts(layer, beside[i])))
    throw new IngotError('bad_file', `${path}: has other experts than ${checkpoint.path}`);
  return beside;
}

const sameExperts = (a: ExpertTensors, b: ExpertTensors | undefined): boolean => {
  if (b === undefined || a.name !== b.name) return false;
  const [x, y] = [dimensions(a.tensors.gate.shape), dimensions(b.tensors.gate.shape)];
  return x.matrices === y.matrices && x.rows === y.rows && x.columns === y.columns;
};

/** What is not as it was, in words. */
function differing(then: readonly SourceFile[], now: readonly SourceFile[]): string | undefined {
  const date = (time: number): string => new Date(time).toISOString();
  for (const { name, bytes, modified } of now) {
    const old = then.find((each) => each.name === name);
    if (old === undefined) return `was made from other files than ${name}`;
    if (old.bytes !== bytes) return `was made when ${name} had ${old.bytes} bytes; it has ${bytes}`;
    if (old.modified !== modified)
      return `was made from ${name} of ${date(old.modified)}; it was changed at ${date(modified)}`;
  }
  return then.length === now.length
    ? undefined
    : `was made from ${then.length} files, the model has ${now.length}`;
}
