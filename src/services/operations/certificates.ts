// When the certificates end that this program shows to others.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { settings } from '../../../config';

/** `use`: where it is shown. `seconds` until it ends, negative once it has. */
export interface CertificateEnd {
  use: 'web' | 'apns';
  seconds: number;
}

/** The ends of all certificates that settings name. One that cannot be read is not there: whoever uses it says so. */
export async function certificateEnds(): Promise<CertificateEnd[]> {
  const files = [
    ['web', settings.TLS_CERT_FILE],
    ['apns', settings.APNS_CERT_FILE],
  ] as const;
  const ends = await Promise.all(
    files.map(async ([use, file]): Promise<CertificateEnd[]> => {
      if (file === undefined) return [];
      try {
        // The first of a chain is the one that is shown.
        const { validTo } = new X509Certificate(await readFile(file));
        return [{ use, seconds: Math.round((Date.parse(validTo) - Date.now()) / 1000) }];
      } catch {
        return [];
      }
    }),
  );
  return ends.flat();
}
