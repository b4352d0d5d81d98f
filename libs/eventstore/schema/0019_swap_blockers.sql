-- Who keeps the swap of a build from its locks, as the projector that waits for them last saw it.
ALTER TABLE operations.builds ADD COLUMN blocked_by text[] NOT NULL DEFAULT '{}';

-- What anybody may know of sessions of this database: whose they are, and since when they hold what they hold; not what
-- they run. pg_locks and pg_blocking_pids() give the numbers to everybody, and 0 for a prepared transaction. By the
-- owner's rights, as in 0015.
CREATE FUNCTION operations.sessions(pids integer[]) RETURNS TABLE (session text, seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT format('%s, since %s UTC', found.session, to_char(found.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
        extract(epoch FROM clock_timestamp() - found.since)::double precision
    FROM (
        SELECT format('%s (%s), pid %s, %s', coalesce(usename::text, backend_type),
            coalesce(nullif(application_name, ''), 'unnamed'), pid, coalesce(state, 'at work')), xact_start
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid = ANY (pids)
        UNION ALL
        SELECT format('prepared transaction %s of %s', gid, owner), prepared
        FROM pg_prepared_xacts WHERE database = current_database() AND 0 = ANY (pids)
    ) AS found (session, since)
    WHERE found.since IS NOT NULL
    ORDER BY found.since;
END;

ALTER FUNCTION operations.sessions(integer[]) OWNER TO tillstream_owner;
REVOKE ALL ON FUNCTION operations.sessions(integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operations.sessions(integer[]) TO tillstream_projector;
