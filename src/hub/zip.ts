// Finds one member of a zip archive through a function that reads byte ranges, so an archive on a server need not be fetched.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16)

import { FileFormatError, IngotError } from '../base/errors.ts';

export interface ZipMember {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  /** Offset of the member's first data byte in the archive. */
  readonly dataStart: number;
  readonly compressedBytes: number;
  readonly bytes: number;
}

/** Reads `length` bytes at `start`. */
export type ReadRange = (start: number, length: number) => Promise<Buffer>;

const endSignature = 0x06054b50;
const end64LocatorSignature = 0x07064b50;
const end64Signature = 0x06064b50;
const centralSignature = 0x02014b50;
const localSignature = 0x04034b50;
const endBytes = 22;
const localBytes = 30;
const centralBytes = 46;
const maxComment = 0xffff;
const maxDirectoryBytes = 64 << 20;

/** The member `name` of the archive `file`, which is `size` bytes long. Throws FileFormatError, or not_found without such a member. */
export async function findMember(
  read: ReadRange,
  size: number,
  name: string,
  file: string,
): Promise<ZipMember> {
  const directory = await readDirectory(read, size, file);
  for (let at = 0; at + centralBytes <= directory.length; ) {
    if (directory.readUInt32LE(at) !== centralSignature) break;
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30);
    const commentBytes = directory.readUInt16LE(at + 32);
    const nameEnd = at + centralBytes + nameBytes;
    if (directory.toString('utf8', at + centralBytes, nameEnd) === name) {
      return await locate(read, directory.subarray(at, nameEnd + extraBytes), name, size, file);
    }
    at = nameEnd + extraBytes + commentBytes;
  }
  throw new IngotError('not_found', `${file} has no member ${name}`, { details: { file, member: name } });
}

async function readDirectory(read: ReadRange, size: number, file: string): Promise<Buffer> {
  const tailBytes = Math.min(size, endBytes + maxComment);
  const tail = await read(size - tailBytes, tailBytes);
  let at = tail.length - endBytes;
  while (at >= 0 && tail.readUInt32LE(at) !== endSignature) at--;
  if (at < 0)
    throw new FileFormatError(file, 'end of central directory', 'is missing: this is no zip archive');
  let bytes = tail.readUInt32LE(at + 12);
  let start = tail.readUInt32LE(at + 16);
  if (bytes === 0xffffffff || start === 0xffffffff) {
    const locator = at - 20;
    if (locator < 0 || tail.readUInt32LE(locator) !== end64LocatorSignature) {
      throw new FileFormatError(file, 'zip64 locator', 'is missing');
    }
    const end64 = await read(Number(tail.readBigUInt64LE(locator + 8)), 56);
    if (end64.readUInt32LE(0) !== end64Signature)
      throw new FileFormatError(file, 'zip64 end record', 'is missing');
    bytes = Number(end64.readBigUInt64LE(40));
    start = Number(end64.readBigUInt64LE(48));
  }
  if (bytes > maxDirectoryBytes || start + bytes > size) {
    throw new FileFormatError(
      file,
      'central directory',
      `${bytes} bytes at ${start} do not fit a file of ${size} bytes`,
    );
  }
  const inTail = start - (size - tailBytes);
  return inTail >= 0 ? tail.subarray(inTail, inTail + bytes) : await read(start, bytes);
}

async function locate(
  read: ReadRange,
  entry: Buffer,
  name: string,
  size: number,
  file: string,
): Promise<ZipMember> {
  const method = entry.readUInt16LE(10);
  if (method !== 0 && method !== 8)
    throw new FileFormatError(file, name, `uses compression method ${method}; only deflate is known`);
  if ((entry.readUInt16LE(8) & 1) !== 0) throw new FileFormatError(file, name, 'is encrypted');
  const { compressedBytes, bytes, headerStart } = sizes(entry);
  if (headerStart + localBytes > size)
    throw new FileFormatError(file, name, `header at ${headerStart} is beyond the end`);
  const header = await read(headerStart, localBytes);
  if (header.readUInt32LE(0) !== localSignature)
    throw new FileFormatError(file, name, 'has no local header', { offset: headerStart });
  const dataStart = headerStart + localBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (dataStart + compressedBytes > size) {
    throw new FileFormatError(
      file,
      name,
      `${compressedBytes} bytes at ${dataStart} reach beyond the end (${size})`,
    );
  }
  return { name, method: method === 0 ? 'stored' : 'deflated', dataStart, compressedBytes, bytes };
}

/** Sizes of a central directory entry, from its zip64 extra field where the 32-bit ones overflow. */
function sizes(entry: Buffer): { compressedBytes: number; bytes: number; headerStart: number } {
  let compressedBytes = entry.readUInt32LE(20);
  let bytes = entry.readUInt32LE(24);
  let headerStart = entry.readUInt32LE(42);
  let at = centralBytes + entry.readUInt16LE(28);
  while (at + 4 <= entry.length) {
    const id = entry.readUInt16LE(at);
    const end = at + 4 + entry.readUInt16LE(at + 2);
    let field = at + 4;
    const next = (): number => {
      const value =
        field + 8 <= Math.min(end, entry.length) ? Number(entry.readBigUInt64LE(field)) : 0xffffffff;
      field += 8;
      return value;
    };
    if (id === 1) {
      if (bytes === 0xffffffff) bytes = next();
      if (compressedBytes === 0xffffffff) compressedBytes = next();
      if (headerStart === 0xffffffff) headerStart = next();
    }
    at = end;
  }
  return { compressedBytes, bytes, headerStart };
}
