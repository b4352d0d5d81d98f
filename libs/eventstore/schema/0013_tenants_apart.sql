-- Tenants are kept apart in the database itself. Whoever works for the whole installation sees every tenant; the query
-- service, which answers for one tenant at a time, sees the one that `tillstream.tenant` names, and none when it names
-- none: no tenant's name is empty. A role without a policy, such as one of somebody's own, sees nothing.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tillstream_query_service') THEN
        CREATE ROLE tillstream_query_service LOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tillstream_query_service', current_database());
END
$$;

GRANT USAGE ON SCHEMA public, projections, read_models, operations TO tillstream_query_service;
GRANT SELECT ON order_events, order_snapshots, command_outcomes, projections.parked TO tillstream_query_service;
-- How far the read models are, and how much waits. Of checkpoints, builds and the outbox only what names no order.
GRANT SELECT ON projections.generations, operations.pauses TO tillstream_query_service;
GRANT SELECT (read_model, generation, topic, partition, topic_id, next_offset, epoch, refolding, advanced_at, replay_until)
    ON projections.checkpoints TO tillstream_query_service;
GRANT SELECT (
    id, read_model, kind, version, generation, state, requested_at, started_at, advanced_at, finished_at, orders_total,
    orders_done
) ON operations.builds TO tillstream_query_service;
GRANT SELECT (id, created_at) ON outbox TO tillstream_query_service;

-- FORCE: for the owner too, by whose rights the view refused_commands reads.
ALTER TABLE order_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE order_snapshots ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE command_outcomes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE projections.parked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- What a role may do, its grants say; these only which tenants' rows it may do it to.
CREATE POLICY all_tenants ON order_events
    TO tillstream_command_service, tillstream_outbox_relay, tillstream_projector, tillstream_query,
        tillstream_operator, tillstream_analyst
    USING (true);
CREATE POLICY all_tenants ON order_snapshots
    TO tillstream_command_service, tillstream_projector, tillstream_query, tillstream_operator
    USING (true);
CREATE POLICY all_tenants ON command_outcomes
    TO tillstream_command_service, tillstream_query, tillstream_operator
    USING (true);
CREATE POLICY all_tenants ON projections.parked
    TO tillstream_projector, tillstream_query, tillstream_operator
    USING (true);

CREATE POLICY own_tenant ON order_events FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
CREATE POLICY own_tenant ON order_snapshots FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
CREATE POLICY own_tenant ON command_outcomes FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
CREATE POLICY own_tenant ON projections.parked FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));

-- Through refused_commands the owner's policy counts, whoever reads: so it asks who that is. The subquery is
-- computed once, not for each row.
CREATE POLICY readers_tenants ON command_outcomes FOR SELECT TO tillstream_owner USING (
    (
        SELECT bool_or(pg_has_role(reader, 'USAGE'))
        FROM unnest('{tillstream_projector, tillstream_query, tillstream_operator, tillstream_analyst}'::name[]) AS reader
    )
    OR tenant_id = current_setting('tillstream.tenant', true)
);

-- The views of read models read by the rights of who asks: whoever may read the audit trail needs this, all of whose
-- columns it shows. The projector grants what lies beneath them in `projections`, by the column.
GRANT USAGE ON SCHEMA projections TO tillstream_analyst;
GRANT SELECT ON refused_commands
    TO tillstream_query, tillstream_operator, tillstream_analyst, tillstream_query_service;
