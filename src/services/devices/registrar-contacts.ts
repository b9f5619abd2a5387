// A SIP Contact (RFC 3261 section 20.10) as Flexisip's registrar writes it. No library reads it: its URI headers hold an unescaped `&`, `?` and `@`.
export interface Device {
  /** `urn:uuid:…`, from `+sip.instance`. */
  uuid: string;
  user_agent: string;
  /** When the proxy last heard of it. */
  update_time: Date;
}

/** Parts of `text` between `separator`s, those inside quotes left alone. */
function splitUnquoted(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (quoted && character === '\\') index += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, text.slice(start)];
}

/** The value of `name=value` among parameters; letter case of the name ignored. */
function valueOf(parameters: string[], name: string): string | undefined {
  const found = parameters.find((parameter) => parameter.trim().toLowerCase().startsWith(`${name}=`));
  return found?.trim().slice(name.length + 1);
}

/** A `+` is a plus here, no space. A bad escape is left as it is: it is only a name to show. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Reads `["name" ]<sip:user@host;…?headers>;parameters`. @returns null where it has no instance (RFC 5626), or cannot be read */
export function parseRegistrarContact(contact: string): Device | null {
  // The name before `<` may be quoted and have a `<` in it.
  const [name = ''] = splitUnquoted(contact, '<');
  const open = name.length;
  const close = contact.indexOf('>', open);
  if (contact[open] !== '<' || close < 0) return null;
  const uri = contact.slice(open + 1, close);
  if (!/^sips?:/i.test(uri)) return null;
  const question = uri.indexOf('?');
  const parameters = (question < 0 ? uri : uri.slice(0, question)).split(';');
  const headers = question < 0 ? '' : uri.slice(question + 1);

  const instance = valueOf(splitUnquoted(contact.slice(close + 1), ';'), '+sip.instance');
  const uuid = instance === undefined ? undefined : /^"?<?([^<>"]+)>?"?$/.exec(instance.trim())?.[1];
  const updatedAt = valueOf(parameters, 'updatedat');
  if (uuid === undefined || updatedAt === undefined || !/^\d{1,12}$/.test(updatedAt)) return null;
  // user-agent is the last of the headers, and its value may have `&` in it: all that follows is its value.
  const agent = /(?:^|&)user-agent=(.*)$/is.exec(headers)?.[1] ?? '';
  return { uuid, user_agent: decode(agent), update_time: new Date(Number(updatedAt) * 1000) };
}
