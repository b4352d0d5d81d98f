-- Several aggregate types in one database: each has events and snapshots of its own, and all share the outcomes, since
-- a tenant's command ids are unique whatever they command. What was stored so far was asked of orders.
ALTER TABLE command_outcomes ADD COLUMN aggregate_type text COLLATE "C" NOT NULL DEFAULT 'order';

-- The audit trail is the orders'.
CREATE OR REPLACE VIEW refused_commands WITH (security_barrier) AS
SELECT tenant_id, aggregate_id AS order_id, command_id, command_type, nullif(actor, '') AS actor,
    data ->> 'authorised_by' AS authorised_by, code,
    replace(convert_from(value, 'UTF8'), '\u0000', '\ufffd')::json ->> 'message' AS message,
    occurred_at, recorded_at
FROM command_outcomes
WHERE code IS NOT NULL AND aggregate_type = 'order';

-- Makes an aggregate type's tables, with all that guards the orders' (0002, 0003, 0008, 0011 and 0013 say why). On tables
-- that are there it sets the same again.
CREATE FUNCTION make_event_tables(aggregate text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = public
    SET client_min_messages = warning
AS $make$
BEGIN
    IF aggregate !~ '^[a-z][a-z0-9_]{0,39}$' THEN
        RAISE EXCEPTION '% can''t name tables', quote_literal(aggregate) USING ERRCODE = 'invalid_name';
    END IF;
    EXECUTE replace(replace($ddl$
        CREATE TABLE IF NOT EXISTS {events} (
            position bigint GENERATED ALWAYS AS IDENTITY,
            event_id uuid NOT NULL,
            aggregate_id uuid NOT NULL,
            tenant_id text COLLATE "C" NOT NULL,
            version bigint NOT NULL CHECK (version > 0),
            event_type text NOT NULL,
            schema_version integer NOT NULL CHECK (schema_version > 0),
            payload jsonb NOT NULL,
            metadata jsonb NOT NULL,
            occurred_at timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL,
            CONSTRAINT {events}_stream_version UNIQUE (tenant_id, aggregate_id, version)
        );
        CREATE OR REPLACE TRIGGER {events}_insert_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON {events}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
        ALTER TABLE {events} ENABLE ALWAYS TRIGGER {events}_insert_only;
        CREATE TABLE IF NOT EXISTS {snapshots} (
            tenant_id text COLLATE "C" NOT NULL,
            aggregate_id uuid NOT NULL,
            schema_version integer NOT NULL,
            version bigint NOT NULL CHECK (version > 0),
            recorded_at timestamptz NOT NULL,
            max_occurred_at timestamptz NOT NULL,
            state json NOT NULL,
            PRIMARY KEY (tenant_id, aggregate_id, schema_version, version)
        );
        ALTER TABLE {events} OWNER TO tillstream_owner;
        ALTER TABLE {snapshots} OWNER TO tillstream_owner;
        REVOKE ALL ON {events}, {snapshots} FROM PUBLIC;
        GRANT SELECT, INSERT ON {events}, {snapshots} TO tillstream_command_service;
        GRANT SELECT ON {events}, {snapshots}
            TO tillstream_projector, tillstream_query, tillstream_query_service, tillstream_operator;
        GRANT SELECT ON {events} TO tillstream_analyst;
        GRANT SELECT (tenant_id, aggregate_id, version, event_id) ON {events} TO tillstream_outbox_relay;
        ALTER TABLE {events} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        ALTER TABLE {snapshots} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        DROP POLICY IF EXISTS all_tenants ON {events};
        CREATE POLICY all_tenants ON {events}
            TO tillstream_command_service, tillstream_outbox_relay, tillstream_projector, tillstream_query,
                tillstream_operator, tillstream_analyst
            USING (true);
        DROP POLICY IF EXISTS all_tenants ON {snapshots};
        CREATE POLICY all_tenants ON {snapshots}
            TO tillstream_command_service, tillstream_projector, tillstream_query, tillstream_operator
            USING (true);
        DROP POLICY IF EXISTS own_tenant ON {events};
        CREATE POLICY own_tenant ON {events} FOR SELECT
            TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
        DROP POLICY IF EXISTS own_tenant ON {snapshots};
        CREATE POLICY own_tenant ON {snapshots} FOR SELECT
            TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
    $ddl$, '{events}', aggregate || '_events'), '{snapshots}', aggregate || '_snapshots');
END
$make$;

ALTER FUNCTION make_event_tables(text) OWNER TO tillstream_owner;
REVOKE ALL ON FUNCTION make_event_tables(text) FROM PUBLIC;
