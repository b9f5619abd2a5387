/** A value that is not allowed. The message ends the sentence «NAME=value: …»: what is allowed, never the value, which may be a secret. */
export class Refused extends Error {}

/** @throws {Refused} */
export function refuse(message: string): never {
  throw new Refused(message);
}

/** Undoes percent-encoding. @throws {Refused} which names the part */
export function percentDecoded(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse(`has a % in its ${part} that no two hexadecimal digits of UTF-8 follow: write it as %25`);
  }
}
