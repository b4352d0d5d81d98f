-- Who keeps the oldest snapshot: PostgreSQL clears no row away that it may still see, and the outbox is mostly such rows.
-- Sessions of other databases don't count; a replication slot does, wherever it is used. What a session runs is nobody's
-- business here, only whose it is. By the owner's rights: others see of the sessions only their own.
GRANT pg_read_all_stats TO tillstream_owner;

CREATE FUNCTION operations.oldest_snapshot() RETURNS TABLE (holder text, seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT kept.holder, extract(epoch FROM clock_timestamp() - kept.since)::double precision
    FROM (
        SELECT format('%s (%s), pid %s', usename, coalesce(nullif(application_name, ''), 'unnamed'), pid), xact_start
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type <> 'autovacuum worker' AND pid <> pg_backend_pid()
            AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        UNION ALL
        SELECT format('prepared transaction %s of %s', gid, owner), prepared
        FROM pg_prepared_xacts WHERE database = current_database()
        UNION ALL
        SELECT format('replication slot %s', slot_name), inactive_since
        FROM pg_replication_slots WHERE xmin IS NOT NULL AND NOT active
    ) AS kept (holder, since)
    WHERE kept.since IS NOT NULL
    ORDER BY kept.since LIMIT 1;
END;

ALTER FUNCTION operations.oldest_snapshot() OWNER TO tillstream_owner;
REVOKE ALL ON FUNCTION operations.oldest_snapshot() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operations.oldest_snapshot()
    TO tillstream_outbox_relay, tillstream_operator;
GRANT USAGE ON SCHEMA operations TO tillstream_outbox_relay;
