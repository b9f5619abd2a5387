// Whether devices may be sent tokens is decided for many at once, in one statement.
import type { Sequelize } from 'sequelize';

/**
 * A function, not a statement: each command in it sees what was committed before that command began, so that the devices' locks come first and the
 * counts see what whoever had a lock before has made. It holds the locks without waiting for any client in between.
 *
 * Its arrays have an element for each token that is asked for; of several for one device the first comes first. `place`: of the element, from 1; `made`: the
 * row, which is NULL where the device may have none. Only `params` may have NULL in it; it equals NULL, by an index as any other value does (IS NOT DISTINCT
 * FROM would read all tokens of the provider).
 */
export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    CREATE FUNCTION begin_creation_tokens(
      providers text[], params text[], prids text[], ips text[], user_agents text[], tokens text[], milliseconds integer[],
      retry_minutes integer, life_minutes integer, per_day integer
    ) RETURNS TABLE (place integer, outcome text, made bigint) LANGUAGE plpgsql AS $$
    DECLARE
      n integer;
      recent integer;
      today integer;
    BEGIN
      -- In one order, whoever asks: two that waited for one another's devices would wait for ever.
      PERFORM pg_advisory_xact_lock(device) FROM (
        SELECT DISTINCT hashtextextended(jsonb_build_array(provider, param, prid)::text, 0) AS device
          FROM unnest(providers, params, prids) AS asked (provider, param, prid) ORDER BY device
      ) AS devices;
      FOR n IN 1 .. coalesce(array_length(tokens, 1), 0) LOOP
        -- A row counts where it was sent, or is being sent and its deadline has not passed: what a killed worker left behind counts no longer than its
        -- send could have taken.
        SELECT count(*) FILTER (WHERE NOT used AND created_at > now() - make_interval(mins => retry_minutes)
                                  AND (life_minutes = 0 OR created_at > now() - make_interval(mins => life_minutes))),
               count(*) FILTER (WHERE created_at > now() - interval '24 hours')
          INTO recent, today
          FROM (
            SELECT used, created_at, send_state, send_deadline FROM account_creation_tokens
             WHERE pn_provider = providers[n] AND pn_param = params[n] AND pn_prid = prids[n]
               AND created_at > now() - greatest(interval '24 hours', make_interval(mins => retry_minutes))
            UNION ALL
            SELECT used, created_at, send_state, send_deadline FROM account_creation_tokens
             WHERE params[n] IS NULL AND pn_provider = providers[n] AND pn_param IS NULL AND pn_prid = prids[n]
               AND created_at > now() - greatest(interval '24 hours', make_interval(mins => retry_minutes))
          ) AS of_device
         WHERE send_state = 'sent' OR (send_state = 'sending' AND send_deadline > clock_timestamp());
        place := n;
        made := NULL;
        IF recent > 0 THEN
          outcome := 'already_sent';
        ELSIF per_day > 0 AND today >= per_day THEN
          outcome := 'limit_reached';
        ELSE
          outcome := 'send';
          INSERT INTO account_creation_tokens (token, pn_provider, pn_param, pn_prid, ip, user_agent, send_state, send_deadline, created_at, updated_at)
          VALUES (tokens[n], providers[n], params[n], prids[n], ips[n], left(user_agents[n], 255), 'sending',
                  clock_timestamp() + milliseconds[n] * interval '1 millisecond', now(), now())
          RETURNING id INTO made;
        END IF;
        RETURN NEXT;
      END LOOP;
    END $$;
  `);
}
