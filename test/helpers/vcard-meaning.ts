// What a vCard means, by a reader that shares nothing with the program's: it goes by the specifications alone, without mercy and without haste.

/** One property. Names are in upper case; of texts the escapes are undone, of quoted-printable and base64 what they stand for is there. */
export interface Meaning {
  group: string;
  name: string;
  parameters: [name: string, values: string[]][];
  value: string;
}

/** Divides at what stands outside quotation marks. */
const divide = (text: string, at: string): string[] => text.split(new RegExp(`${at}(?=(?:[^"]*"[^"]*")*[^"]*$)`));

const parametersOf = (text: string): [name: string, values: string[]][] =>
  divide(text, ';')
    .slice(1)
    .map((parameter) => {
      const [, name = '', values] = /^([^=]*)(?:=(.*))?$/s.exec(parameter) ?? [];
      return [name.trim().toUpperCase(), values === undefined ? [] : divide(values, ',').map((value) => value.replaceAll('"', ''))];
    });

function headOf(line: string): { head: string; value: string } {
  const [, head = '', value = ''] = /^((?:"[^"]*"|[^":])*):(.*)$/s.exec(line) ?? [];
  return { head, value };
}

const encodingOf = (head: string): string =>
  /;(?:ENCODING=)?"?(QUOTED-PRINTABLE|BASE64)"?(?=;|$)|;ENCODING=(B)(?=;|$)/i
    .exec(head)
    ?.slice(1)
    .find((part) => part !== undefined)
    ?.toUpperCase() ?? '';

const decoded = (text: string): string =>
  Buffer.concat(
    [...text.matchAll(/=([\dA-F]{2})|[^=]+|=/gi)].map(([whole, octet]) =>
      octet === undefined ? Buffer.from(whole) : Buffer.from(octet, 'hex'),
    ),
  ).toString();

function meaningOf(head: string, value: string): Meaning {
  const [, group = '', name = '', parameters = ''] = /^(?:([^;]*)\.)?([^;.]*)(;.*)?$/s.exec(head) ?? [];
  const encoding = encodingOf(head);
  const text =
    encoding === 'QUOTED-PRINTABLE'
      ? decoded(value)
      : encoding === ''
        ? value.replaceAll(/\\([nN])|\\(.)/gs, (_, line?: string, other?: string) => (line === undefined ? (other ?? '') : '\n'))
        : Buffer.from(value, 'base64').toString('hex');
  return { group, name: name.trim().toUpperCase(), parameters: parametersOf(parameters), value: text };
}

/** Version 2.1: a fold keeps its white space, a soft line break needs none, base64 ends with an empty line. */
function linesOf21(lines: string[]): string[] {
  const whole: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    let line = lines[at] ?? '';
    if (line === '') continue;
    const encoding = line.includes(':') ? encodingOf(headOf(line).head) : '';
    const next = (): string => lines[at + 1] ?? '';
    if (encoding === 'QUOTED-PRINTABLE') for (; line.endsWith('='); at += 1) line = line.slice(0, -1) + next();
    else if (encoding === 'BASE64') for (; next() !== '' && !next().includes(':'); at += 1) line += next().trim();
    else for (; /^[ \t]/.test(next()); at += 1) line += next();
    whole.push(line);
  }
  return whole;
}

/** Versions 3.0 and 4.0 (RFC 6350 section 3.2); and what is quoted-printable nevertheless. */
function linesSince3(text: string): string[] {
  const whole: string[] = [];
  for (const line of text.replaceAll(/\n[ \t]/g, '').split('\n')) {
    const last = whole.at(-1) ?? '';
    if (last.endsWith('=') && encodingOf(headOf(last).head) === 'QUOTED-PRINTABLE') whole[whole.length - 1] = last.slice(0, -1) + line;
    else if (line !== '') whole.push(line);
  }
  return whole;
}

/** The properties of one card but BEGIN and END, in their order, VERSION first. */
export function readMeaning(text: string): Meaning[] {
  const plain = text.replaceAll('\r\n', '\n').replace(/^\s+/, '').replace(/\s+$/, '');
  const lines = /^VERSION:2\.1$/m.test(plain) ? linesOf21(plain.split('\n')) : linesSince3(plain);
  const meanings = lines.map((line) => {
    const { head, value } = headOf(line);
    return meaningOf(head, value);
  });
  return [
    ...meanings.filter(({ name }) => name === 'VERSION'),
    ...meanings.filter(({ name }) => !['VERSION', 'BEGIN', 'END'].includes(name)),
  ];
}
