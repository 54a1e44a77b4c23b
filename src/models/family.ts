// A family whose layers are those of blocks/decoder.ts: a config that says which, and what its files call them.

import { loadDecoder } from './blocks/decoder.ts';
import type { DecoderConfig } from './config/decoder.ts';
import { ConfigReader } from './config/reader.ts';
import type { Family } from './contract.ts';
import type { FamilyFiles } from './files/files.ts';

export interface DecoderFamily {
  /** Values of `architectures` and `model_type`. */
  readonly names: readonly string[];
  /** Throws bad_file or unsupported with the field's name. */
  read(reader: ConfigReader): DecoderConfig;
  readonly files?: FamilyFiles;
}

export const decoderFamily = ({ names, read, files = {} }: DecoderFamily): Family<DecoderConfig> => ({
  names,
  parse: (json, source) => read(new ConfigReader(json, source)),
  build: loadDecoder,
  files,
});
