// What may be kept of a provider's own code.
/** A word (`BadDeviceToken`, `messaging/internal-error`, `ECONNRESET`), or a status with an enhanced one (`550-5.1.1`). */
const CODE = /^(?:[A-Za-z]{2,40}(?:\/[a-z]{1,40}(?:-[a-z]{1,40}){0,8})?|\d{3,5}(?:-[245]\.\d{1,3}\.\d{1,3})?)$/;
/** What the ledger has room for. */
const MAX_CODE_CHARACTERS = 64;

/**
 * What a provider calls its answer, to be kept and shown. An address, a number or a token that stands in its place is nothing that a code looks like, and is left out.
 */
export function providerCode(code: unknown): { code?: string } {
  const text = typeof code === 'number' ? String(code) : code;
  return typeof text === 'string' && text.length <= MAX_CODE_CHARACTERS && CODE.test(text) ? { code: text } : {};
}
