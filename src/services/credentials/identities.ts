// Who somebody is, once they have shown it: read with one query, whatever they showed.
import { settings } from '../../../config';
import { select } from '../../infra/sequelize';
import { requestSpaceSql } from '../../models/spaces/space';

/** An authenticated account, with all that access.ts asks about it. */
export interface Identity {
  account_id: number;
  username: string;
  domain: string;
  admin: boolean;
  blocked: boolean;
  space_super: boolean;
  space_expire_at: Date | null;
  request_space_expire_at: Date | null;
}

interface Query {
  /** The Host header, whose Space may have expired. */
  host: string;
  /** More columns; `a` is the account. */
  columns?: string;
  from?: string;
  /** Its placeholders begin at $3. */
  where: string;
  bind: unknown[];
}

/** The accounts that `where` names, with their own and the request's Space. */
export function findIdentities<Row extends Identity>({ host, columns, from = 'accounts a', where, bind }: Query): Promise<Row[]> {
  return select<Row>(
    `SELECT a.id AS account_id, a.username, a.domain, a.admin, a.blocked,
            s.super AS space_super, s.expire_at AS space_expire_at, r.expire_at AS request_space_expire_at
            ${columns === undefined ? '' : `, ${columns}`}
       FROM ${from}
       JOIN spaces s ON s.domain = a.domain
       LEFT JOIN LATERAL (SELECT expire_at FROM spaces ${requestSpaceSql('$1', '$2')}) r ON true
      WHERE ${where}`,
    [host, settings.APP_SIP_DOMAIN, ...bind],
  );
}
