// The browser build as the package has it, made from the sources.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsdown';
import { web } from '../../tsdown.config.ts';

/** Files of the build by name. */
export async function buildWeb(): Promise<ReadonlyMap<string, string>> {
  const outDir = mkdtempSync(join(tmpdir(), 'ingot-web-'));
  try {
    await build({ ...web, config: false, dts: false, sourcemap: false, outDir });
    return new Map(readdirSync(outDir).map((name) => [name, readFileSync(join(outDir, name), 'utf8')]));
  } finally {
    rmSync(outDir, { recursive: true });
  }
}
