// Where large files lie that go with the process.

import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** A folder on a disk: /tmp is memory on many systems, /var/tmp is not (Filesystem Hierarchy Standard 3.0, 5.15). */
export const spillFolder = (): string => (existsSync('/var/tmp') ? '/var/tmp' : tmpdir());
