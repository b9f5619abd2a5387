// Whether two request targets name the same resource here (RFC 7616, section 3.4.6: what passes a request on may write its target anew).

/** What a path means something else by, where it is percent-encoded. */
const OF_PATHS = '/?#%';
const UNRESERVED = /^[A-Za-z0-9._~-]$/;

/** One spelling of what may be spelled in several ways (RFC 3986, section 6.2.2); `isSame`: whether a printable character is the same when encoded. */
const normalised = (text: string, isSame: (character: string) => boolean): string =>
  text.replace(/%([0-9a-f]{2})|[^!-~]/gi, (given, digits: string | undefined) => {
    const octet = digits === undefined ? given.charCodeAt(0) : Number.parseInt(digits, 16);
    const character = String.fromCharCode(octet);
    const isPlain = octet > 0x20 && octet < 0x7f && isSame(character);
    return isPlain ? character : `%${octet.toString(16).padStart(2, '0')}`;
  });

/**
 * Path and query of a target in one spelling, each character an octet. Of one in absolute form (RFC 9112, section 3.2.2) the authority is left out:
 * what a front passes on may have another. A path's parameters are decoded by the router, so only what divides a path stays encoded there; in a
 * query `&`, `=` and `+` divide as well.
 */
export function normaliseTarget(target: string): string {
  const relative = target.replace(/^https?:\/\/[^/?#]*/i, '');
  const [, path = '', query = ''] = /^([^?]*)(.*)$/s.exec(relative) ?? [];
  const rooted = path === '' && relative !== target ? '/' : path;
  return normalised(rooted, (character) => !OF_PATHS.includes(character)) + normalised(query, (character) => UNRESERVED.test(character));
}
