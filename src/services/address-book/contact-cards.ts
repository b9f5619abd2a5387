// A contact as a vCard, for apps that take their address book from here. They expect lines that end with LF.
import type { ContactView } from '../../models/address-book/contact-view';
import { fold } from './vcard-lines';

/** RFC 6350 section 3.4. */
const escapeText = (text: string): string => text.replace(/[\\,;]/g, '\\$&').replace(/\r\n|[\r\n]/g, '\\n');

/** The card of one contact, without a line end after it. */
export function contactCard({ username, domain, display_name: name, dtmf_protocol: protocol, types, actions }: ContactView): string {
  const address = `${username}@${domain}`;
  return [
    'BEGIN:VCARD',
    'VERSION:4.0',
    'KIND:individual',
    `IMPP:sip:${address}`,
    `FN:${escapeText(name ?? address)}`,
    ...(protocol === null ? [] : [`X-LINPHONE-ACCOUNT-DTMF-PROTOCOL:${protocol}`]),
    ...types.map(({ key }) => `X-LINPHONE-ACCOUNT-TYPE:${key}`),
    ...actions.map(({ key, code }) => `X-LINPHONE-ACCOUNT-ACTION:${key};${code}`),
    'END:VCARD',
  ]
    .map((line) => fold(line))
    .join('\n');
}
