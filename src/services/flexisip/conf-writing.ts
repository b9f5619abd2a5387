// Writing a flexisip.conf so that nobody ever reads half of it, and nobody who could not read it before can read it then.
import { constants } from 'node:fs';
import { chmod, chown, copyFile, type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { codeOf } from '../../infra/log';

const MAX_BYTES = 16 * 1024 * 1024;
/** It has passwords in it. */
const NEW_FILE_MODE = 0o600;

/** A file that is about to be written. */
export interface Draft {
  /** What is there now; undefined: nothing. */
  content?: Buffer;
  /** Where it will be: the file itself, or a copy beside it. */
  target: string;
  /** Whether others than its owner may read it. */
  isOpen: boolean;
  /** Puts the content in its place at once. @returns where what was there before is kept */
  commit: (content: Buffer) => Promise<{ backup?: string }>;
  /** Leaves all as it was. */
  abort: () => Promise<void>;
}

interface Metadata {
  mode: number;
  uid: number;
  gid: number;
  /** When it was last written. */
  mtimeMs: number;
}

async function metadata(file: string): Promise<Metadata | undefined> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new Error(`${file} is no file`);
    if (found.size > MAX_BYTES) throw new Error(`${file} is larger than any flexisip.conf`);
    return { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, mtimeMs: found.mtimeMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file beside the target, since a rename is whole only within one folder; for its owner alone until it has its mode. */
async function openBeside(target: string): Promise<{ name: string; handle: FileHandle }> {
  const name = path.join(path.dirname(target), `.${path.basename(target)}.${randomBytes(6).toString('hex')}`);
  try {
    return { name, handle: await open(name, 'wx', NEW_FILE_MODE) };
  } catch (error) {
    throw new Error(`${target} cannot be written: ${codeOf(error)} in ${path.dirname(target)}`, { cause: error });
  }
}

const stamp = (): string => new Date().toISOString().replace(/[-:]/g, '');

/**
 * Prepares the writing of a file, so that what cannot be written is said before anything else is done.
 *
 * @param inPlace whether a file that is there is replaced, with a copy of it kept; otherwise the copy `FILE.new` is written. A file that is not there is made
 * @throws {Error} which names the file
 */
export async function draft(file: string, { inPlace }: { inPlace: boolean }): Promise<Draft> {
  const before = await metadata(file);
  // What a link points to is replaced, not the link.
  const real = before ? await realpath(file) : path.resolve(file);
  const target = before && !inPlace ? `${real}.new` : real;
  const content = before ? await readFile(real) : undefined;
  const { name, handle } = await openBeside(target);
  const abort = async (): Promise<void> => {
    await handle.close().catch(() => undefined);
    await rm(name, { force: true });
  };
  try {
    if (before) {
      await chown(name, before.uid, before.gid).catch((error: unknown) => {
        throw new Error(`${target} would not belong to who has ${file} now: run this as root, or as that user`, { cause: error });
      });
      await chmod(name, before.mode);
    }
  } catch (error) {
    await abort();
    throw error;
  }
  const commit = async (written: Buffer): Promise<{ backup?: string }> => {
    try {
      await handle.writeFile(written);
      await handle.sync();
      await handle.close();
      let backup: string | undefined;
      if (before && target === real) {
        if ((await metadata(real))?.mtimeMs !== before.mtimeMs)
          throw new Error(`${file} was changed meanwhile by somebody else: run this again`);
        backup = `${real}.${stamp()}.bak`;
        await copyFile(real, backup, constants.COPYFILE_EXCL);
        // Nothing reads it by its name, and what is in it works still.
        await chmod(backup, NEW_FILE_MODE);
        await chown(backup, before.uid, before.gid);
      }
      await rename(name, target);
      return backup === undefined ? {} : { backup };
    } catch (error) {
      await abort();
      throw error;
    }
  };
  return { ...(content ? { content } : {}), target, isOpen: ((before?.mode ?? NEW_FILE_MODE) & 0o077) !== 0, commit, abort };
}

/** Writes a new file for its owner alone, or replaces one. */
export async function writePrivately(file: string, text: string): Promise<void> {
  const { name, handle } = await openBeside(path.resolve(file));
  try {
    await handle.writeFile(text);
    await handle.close();
    await rename(name, path.resolve(file));
  } catch (error) {
    await rm(name, { force: true });
    throw error;
  }
}
