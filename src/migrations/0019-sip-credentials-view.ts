// What SIP servers read: passwords without those of blocked accounts, which they would let register otherwise. As views, so that their database user needs no
// table, and a change of the tables does not reach them.
import type { Sequelize } from 'sequelize';

/** What nobody can know, in the place of a hash that an account does not have: as NULL or empty it would be a hash that everybody knows. */
const UNKNOWABLE_MD5 = 'md5(gen_random_uuid()::text)';
const UNKNOWABLE_SHA256 = "encode(sha256(convert_to(gen_random_uuid()::text, 'UTF8')), 'hex')";

/** The account's password by its algorithm, of which it has one at most. */
const one = (algorithm: string): string => `max(p.password) FILTER (WHERE p.algorithm = '${algorithm}')`;

/** What can be a password at all: an empty hash, or half of one, is none, whoever stored it. */
const IS_WHOLE = `CASE p.algorithm WHEN 'MD5' THEN p.password ~ '^[0-9A-Fa-f]{32}$' WHEN 'SHA-256' THEN p.password ~ '^[0-9A-Fa-f]{64}$'
                                   WHEN 'CLRTXT' THEN p.password <> '' ELSE false END`;

export async function up(database: Sequelize): Promise<void> {
  // Hashes of imports may have capitals. security_barrier: no function of the reader's own sees rows that are left out.
  await database.query(`
    CREATE VIEW sip_credentials WITH (security_barrier) AS
    SELECT a.username, a.domain, a.activated, p.algorithm,
           CASE WHEN p.algorithm = 'CLRTXT' THEN p.password ELSE lower(p.password COLLATE "C") END AS password
      FROM accounts a JOIN passwords p ON p.account_id = a.id
     WHERE NOT a.blocked AND ${IS_WHOLE}
  `);
  // A password that is stored as it is gives its hashes with the domain as realm.
  await database.query(`
    CREATE VIEW sip_subscribers WITH (security_barrier) AS
    SELECT a.username, a.domain,
           coalesce(md5(a.username || ':' || a.domain || ':' || p.clear), lower(p.md5 COLLATE "C"), ${UNKNOWABLE_MD5}) AS ha1,
           ${UNKNOWABLE_MD5} AS ha1b,
           coalesce(encode(sha256(convert_to(a.username || ':' || a.domain || ':' || p.clear, 'UTF8')), 'hex'), lower(p.sha256 COLLATE "C"),
                    ${UNKNOWABLE_SHA256}) AS ha1_sha256,
           ${UNKNOWABLE_SHA256} AS ha1_sha512t256
      FROM accounts a
     CROSS JOIN LATERAL (SELECT ${one('CLRTXT')} AS clear, ${one('MD5')} AS md5, ${one('SHA-256')} AS sha256
                           FROM passwords p WHERE p.account_id = a.id AND ${IS_WHOLE}) AS p
     WHERE NOT a.blocked AND a.activated AND coalesce(p.clear, p.md5, p.sha256) IS NOT NULL
  `);
}
