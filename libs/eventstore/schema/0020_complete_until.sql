-- Up to which time of record a read model has everything. Whatever is recorded is recorded within the transaction that
-- stores it, so nothing can still come from before the oldest transaction of a writer that is open: those of the roles that
-- may write events, and those of superusers that do. The clock is read first: who begins later records later.
CREATE FUNCTION operations.recorded_until() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    until timestamptz := clock_timestamp();
BEGIN
    RETURN least(until, (
        SELECT min(a.xact_start)
        FROM pg_stat_activity AS a JOIN pg_roles AS r ON r.oid = a.usesysid
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND CASE
            WHEN r.rolsuper THEN EXISTS (
                SELECT FROM pg_locks AS l
                WHERE l.pid = a.pid AND l.mode = 'RowExclusiveLock'
                    AND l.relation IN ('public.order_events'::regclass, 'public.command_outcomes'::regclass)
            )
            ELSE has_table_privilege(r.oid, 'public.order_events', 'INSERT')
        END
    ));
END
$$;

ALTER FUNCTION operations.recorded_until() OWNER TO tillstream_owner;
REVOKE ALL ON FUNCTION operations.recorded_until() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operations.recorded_until() TO tillstream_projector;
GRANT SELECT (id, topic) ON outbox TO tillstream_projector;

-- Null until it is found out. Earlier events of parked orders hold it back.
ALTER TABLE projections.generations ADD COLUMN complete_until timestamptz;

CREATE OR REPLACE VIEW read_models.freshness AS
SELECT g.read_model, g.generation,
    concat_ws('.', s.system_identifier, greatest(c.timeline_id, r.min_recovery_end_timeline), recovered.count, g.generation)
        AS era,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS watermark,
    g.complete_until,
    (
        SELECT jsonb_object_agg(p.partition, p.next_offset) FROM projections.checkpoints AS p
        WHERE p.read_model = g.read_model AND p.generation = g.generation AND NOT p.refolding
    ) AS positions
FROM projections.generations AS g, pg_control_system() AS s, pg_control_checkpoint() AS c, pg_control_recovery() AS r,
    (SELECT extract(epoch FROM max(started_at)) AS count FROM operations.actions WHERE action = 'recover') AS recovered
WHERE g.state = 'live';
