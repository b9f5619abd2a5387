// vcard4 ships types that `require` does not find; this is the one function that is called.
declare module 'vcard4' {
  /** @throws where the text is no vCard of version 4.0; lines must end with CRLF */
  export function parse(text: string): unknown;
}
