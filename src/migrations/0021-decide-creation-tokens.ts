// What is decided about a device and its row in the ledger of sends are made together.
import type { Sequelize } from 'sequelize';

/**
 * As begin_creation_tokens() (0016), which workers of the release before call still, and beside it a row of `sends` for each token, in one statement for
 * all; their `created_at` is that of the token's row, which has whole seconds, so that by it and by `subject_id` the redeeming of a token finds its send.
 * A device that may have none has a row that has ended, and within the hour no second one for the same reason, since nothing was sent: `attempts` counts
 * how often it was asked for, so that who asks all day does not fill the ledger.
 *
 * `send`: the row of the ledger; `retry_after`: seconds until the device may be sent one, as far as it is known now.
 */
export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    CREATE FUNCTION decide_creation_tokens(
      providers text[], params text[], prids text[], ips text[], user_agents text[], tokens text[], milliseconds integer[],
      domains text[], masks text[], hashes text[], targets text[], queued integer[], requests text[],
      retry_minutes integer, life_minutes integer, per_day integer
    ) RETURNS TABLE (place integer, outcome text, made bigint, send bigint, retry_after integer) LANGUAGE plpgsql AS $$
    DECLARE
      n integer;
      newest timestamptz;
      oldest timestamptz;
      today integer;
      kept interval := make_interval(mins => CASE WHEN life_minutes = 0 THEN retry_minutes ELSE least(retry_minutes, life_minutes) END);
      looked timestamptz := now() - greatest(interval '24 hours', make_interval(mins => retry_minutes));
      begun integer[] := '{}';
      ids bigint[] := '{}';
      subjects bigint[] := '{}';
    BEGIN
      -- In one order, whoever asks: two that waited for one another's devices would wait for ever.
      PERFORM pg_advisory_xact_lock(device) FROM (
        SELECT DISTINCT hashtextextended(jsonb_build_array(provider, param, prid)::text, 0) AS device
          FROM unnest(providers, params, prids) AS asked (provider, param, prid) ORDER BY device
      ) AS devices;
      FOR n IN 1 .. coalesce(array_length(tokens, 1), 0) LOOP
        -- A row counts where it was sent, or is being sent and its deadline has not passed: what a killed worker left behind counts no longer than its
        -- send could have taken.
        SELECT max(t.created_at) FILTER (WHERE NOT t.used AND t.created_at > now() - kept),
               count(*) FILTER (WHERE t.created_at > now() - interval '24 hours')
          INTO newest, today
          FROM (
            SELECT used, created_at, send_state, send_deadline FROM account_creation_tokens
             WHERE pn_provider = providers[n] AND pn_param = params[n] AND pn_prid = prids[n] AND created_at > looked
            UNION ALL
            SELECT used, created_at, send_state, send_deadline FROM account_creation_tokens
             WHERE params[n] IS NULL AND pn_provider = providers[n] AND pn_param IS NULL AND pn_prid = prids[n] AND created_at > looked
          ) AS t
         WHERE t.send_state = 'sent' OR (t.send_state = 'sending' AND t.send_deadline > clock_timestamp());
        place := n;
        made := NULL;
        send := NULL;
        oldest := NULL;
        IF per_day > 0 AND today >= per_day THEN
          -- Whose end lets the next one in; few rows, since there are no more than the limit lets in.
          SELECT t.created_at INTO oldest
            FROM (
              SELECT created_at, send_state, send_deadline FROM account_creation_tokens
               WHERE pn_provider = providers[n] AND pn_param = params[n] AND pn_prid = prids[n] AND created_at > now() - interval '24 hours'
              UNION ALL
              SELECT created_at, send_state, send_deadline FROM account_creation_tokens
               WHERE params[n] IS NULL AND pn_provider = providers[n] AND pn_param IS NULL AND pn_prid = prids[n]
                 AND created_at > now() - interval '24 hours'
            ) AS t
           WHERE t.send_state = 'sent' OR (t.send_state = 'sending' AND t.send_deadline > clock_timestamp())
           ORDER BY t.created_at DESC OFFSET per_day - 1 LIMIT 1;
        END IF;
        -- Whole seconds of a row are rounded, so it may seem to be made in a moment. What is NULL does not count: least() alone would take now() for it.
        retry_after := greatest(1, ceil(extract(epoch FROM greatest(
          CASE WHEN newest IS NOT NULL THEN least(newest, now()) + kept END,
          CASE WHEN oldest IS NOT NULL THEN least(oldest, now()) + interval '24 hours' END
        ) - now())))::integer;
        IF newest IS NOT NULL THEN
          outcome := 'already_sent';
        ELSIF per_day > 0 AND today >= per_day THEN
          outcome := 'limit_reached';
        ELSE
          outcome := 'send';
          retry_after := NULL;
          INSERT INTO account_creation_tokens (token, pn_provider, pn_param, pn_prid, ip, user_agent, send_state, send_deadline, created_at, updated_at)
          VALUES (tokens[n], providers[n], params[n], prids[n], ips[n], left(user_agents[n], 255), 'sending',
                  clock_timestamp() + milliseconds[n] * interval '1 millisecond', now(), now())
          RETURNING id INTO made;
          send := nextval('sends_ids');
          begun := begun || n;
          ids := ids || send;
          subjects := subjects || made;
        END IF;
        IF outcome <> 'send' THEN
          UPDATE sends s SET attempts = least(s.attempts + 1, 32767), ended_at = now(), updated_at = now()
           WHERE s.recipient_hash = hashes[n] AND s.created_at > now() - interval '1 hour' AND s.channel = 'push' AND s.kind = 'creation_token'
             AND s.outcome = decide_creation_tokens.outcome AND s.provider = providers[n] AND s.target IS NOT DISTINCT FROM targets[n]
             AND s.domain IS NOT DISTINCT FROM domains[n];
          IF NOT FOUND THEN
            INSERT INTO sends (channel, kind, domain, recipient_mask, recipient_hash, provider, target, queued_ms, request_id,
                               state, outcome, reason, attempts, next_at, ended_at)
            VALUES ('push', 'creation_token', domains[n], masks[n], hashes[n], providers[n], targets[n], queued[n], requests[n],
                    'failed', outcome, outcome, 1, NULL, now());
          END IF;
        END IF;
        RETURN NEXT;
      END LOOP;
      INSERT INTO sends (id, channel, kind, domain, subject_id, recipient_mask, recipient_hash, provider, target, queued_ms, request_id, state, next_at)
      SELECT g.id, 'push', 'creation_token', domains[g.n], g.subject, masks[g.n], hashes[g.n], providers[g.n], targets[g.n], queued[g.n], requests[g.n],
             'sending', NULL
        FROM unnest(begun, ids, subjects) AS g (n, id, subject);
    END $$;
  `);
}
