// Removing what somebody sent, with its devices' rows, and marking the hours whose figures change.
import { execute } from '../../infra/sequelize';
import { hourOf, INSERT_MARKS } from './batch';

/** Whose events: of an account, or of a whole domain. */
export interface Sender {
  domain: string;
  username?: string;
}

/** Statements, in order, for the rows that `sender` names by from_username and from_domain. */
function statements(sender: string): string[] {
  const of = (alias: string): string => sender.replace(/\b(from_\w+)/g, `${alias}.$1`);
  return [
    // Those of the sender's domain, and of whoever was written to or called.
    `${INSERT_MARKS}
     SELECT DISTINCT 'messages', ${hourOf('m.sent_at')}, p.domain
       FROM statistics_messages m LEFT JOIN statistics_message_devices d ON d.message_id = m.id AND d.sent_at = m.sent_at
       CROSS JOIN LATERAL (VALUES (m.from_domain), (d.to_domain)) AS p (domain) WHERE ${of('m')} AND p.domain IS NOT NULL`,
    `${INSERT_MARKS}
     SELECT DISTINCT 'calls', ${hourOf('c.initiated_at')}, p.domain
       FROM statistics_calls c CROSS JOIN LATERAL (VALUES (c.from_domain), (c.to_domain)) AS p (domain) WHERE ${of('c')}`,
    // The keys first: an event that comes now waits for them, and finds no parent.
    `DELETE FROM statistics_message_keys k USING statistics_messages m WHERE ${of('m')} AND k.id = m.id`,
    `DELETE FROM statistics_call_keys k USING statistics_calls c WHERE ${of('c')} AND k.id = c.id`,
    `DELETE FROM statistics_message_devices d USING statistics_messages m WHERE ${of('m')} AND d.message_id = m.id AND d.sent_at = m.sent_at`,
    `DELETE FROM statistics_call_devices d USING statistics_calls c WHERE ${of('c')} AND d.call_id = c.id AND d.initiated_at = c.initiated_at`,
    `DELETE FROM statistics_messages WHERE ${sender}`,
    `DELETE FROM statistics_calls WHERE ${sender}`,
  ];
}

const OF_ACCOUNT = statements('from_domain = $1 AND from_username = $2');
const OF_DOMAIN = statements('from_domain = $1');

/**
 * Deletes the events that somebody sent and marks their hours. By statements of our own: the rows are found through their parents, set by
 * set, in the order in which everything else locks them. Inside the caller's transaction.
 */
export async function deleteSentStatistics({ domain, username }: Sender): Promise<void> {
  const [list, bind] = username === undefined ? [OF_DOMAIN, [domain]] : [OF_ACCOUNT, [domain, username]];
  for (const statement of list) await execute(statement, bind);
}
