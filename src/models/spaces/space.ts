// A Space: a SIP domain with its host and settings.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { BOOLEAN, DATE, dated, dates, id, INTEGER, optional, required, varchar } from '../columns';

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

/**
 * The condition and order that find the request's Space among `spaces` (api.md 1.8): host, else domain, else the default.
 * `host` and `fallback` name the placeholders of the Host header and of APP_SIP_DOMAIN.
 */
export const requestSpaceSql = (host: string, fallback: string): string =>
  `WHERE host = ${host} OR domain = ${host} OR domain = ${fallback} ORDER BY (host = ${host}) DESC, (domain = ${host}) DESC LIMIT 1`;
