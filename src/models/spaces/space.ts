// A Space: a SIP domain with its host and settings.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { BOOLEAN, DATE, dated, dates, id, INTEGER, optional, required, varchar } from '../columns';

/** What rules need to know of the Space that a request is for. */
export type RequestSpace = Pick<Attributes<Space>, 'id' | 'domain' | 'host' | 'super' | 'max_accounts' | 'expire_at'>;

/**
 * The condition and order that find the request's Space among `spaces`: the one with that host, else with that domain, else the default.
 * `host` and `fallback` name the placeholders of the Host header and of APP_SIP_DOMAIN.
 */
export const requestSpaceSql = (host: string, fallback: string): string =>
  `WHERE host = ${host} OR domain = ${host} OR domain = ${fallback} ORDER BY (host = ${host}) DESC, (domain = ${host}) DESC LIMIT 1`;

export class Space extends Model<InferAttributes<Space>, InferCreationAttributes<Space>> {
  declare id: CreationOptional<number>;
  declare domain: string;
  declare host: string;
  declare super: CreationOptional<boolean>;
  declare disable_broadcast_feature: CreationOptional<boolean>;
  declare disable_chat_feature: CreationOptional<boolean>;
  declare disable_meetings_feature: CreationOptional<boolean>;
  declare hide_settings: CreationOptional<boolean>;
  declare hide_account_settings: CreationOptional<boolean>;
  declare disable_call_recordings_feature: CreationOptional<boolean>;
  declare only_display_sip_uri_username: CreationOptional<boolean>;
  declare assistant_hide_create_account: CreationOptional<boolean>;
  declare assistant_disable_qr_code: CreationOptional<boolean>;
  declare assistant_hide_third_party_account: CreationOptional<boolean>;
  declare max_account: CreationOptional<number>;
  declare max_accounts: CreationOptional<number>;
  declare expire_at: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * The Spaces that requests are for. A statement of our own, since it shares condition and order with the look-up of who calls.
   *
   * @param hosts the requests' hosts, without their ports, in lower case
   * @param fallback the domain that requests to unknown hosts are for
   * @returns of each host in its place; null only where even the default Space was never made
   */
  static async findForRequests(hosts: readonly string[], fallback: string): Promise<(RequestSpace | null)[]> {
    const found = await select<{ [K in keyof RequestSpace]: RequestSpace[K] | null }>(
      `SELECT s.* FROM unnest($1::text[]) WITH ORDINALITY AS asked (host, place)
         LEFT JOIN LATERAL (SELECT id, domain, host, super, max_accounts, expire_at FROM spaces ${requestSpaceSql('asked.host', '$2')}) s ON true
        ORDER BY asked.place`,
      [hosts, fallback],
    );
    return found.map((space) => (space.id === null ? null : (space as RequestSpace)));
  }

  /**
   * Makes a Space, or changes host and role of the one with that domain. A statement of our own, since a host that is not named stays as
   * it is, or is the domain of a new Space; Sequelize's `upsert` writes the same values in both cases, and does not say which it was.
   *
   * @returns whether it is new
   */
  static async createOrUpdate({
    domain,
    host,
    super: isSuper,
  }: Pick<Attributes<Space>, 'domain' | 'super'> & { host: string | null }): Promise<boolean> {
    const [row] = await select<{ created: boolean }>(
      `INSERT INTO spaces (domain, host, super, created_at, updated_at) VALUES ($1::text, coalesce($2::text, $1::text), $3, now(), now())
       ON CONFLICT (domain) DO UPDATE SET host = coalesce($2::text, spaces.host), super = $3, updated_at = now()
       RETURNING (xmax = 0) AS created`,
      [domain, host, isSuper],
    );
    return row?.created === true;
  }

  /**
   * How many accounts a Space may have (0: any number), and until when it may have new ones. A statement of our own, since every creation of an
   * account asks it, and a finder costs the process twice as much. @returns null where there is no such Space
   */
  static async findTerms(domain: Attributes<Space>['domain']): Promise<Pick<Attributes<Space>, 'max_accounts' | 'expire_at'> | null> {
    type Terms = Pick<Attributes<Space>, 'max_accounts' | 'expire_at'>;
    const [terms] = await select<Terms>('SELECT max_accounts, expire_at FROM spaces WHERE domain = $1', [domain]);
    return terms ?? null;
  }
}
Space.init(
  {
    id,
    domain: required(varchar(64)),
    host: required(varchar(255)),
    super: required(BOOLEAN, false),
    disable_broadcast_feature: required(BOOLEAN, true),
    disable_chat_feature: required(BOOLEAN, false),
    disable_meetings_feature: required(BOOLEAN, false),
    hide_settings: required(BOOLEAN, false),
    hide_account_settings: required(BOOLEAN, false),
    disable_call_recordings_feature: required(BOOLEAN, false),
    only_display_sip_uri_username: required(BOOLEAN, false),
    assistant_hide_create_account: required(BOOLEAN, false),
    assistant_disable_qr_code: required(BOOLEAN, false),
    assistant_hide_third_party_account: required(BOOLEAN, false),
    max_account: required(INTEGER, 0),
    max_accounts: required(INTEGER, 0),
    expire_at: optional(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'spaces', ...dated },
);
