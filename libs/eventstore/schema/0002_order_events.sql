-- The log: the truth that everything else is derived from.
--
-- The one key starts with the tenant, so that one tenant can't even learn that another's order exists. There is no index
-- on position: a lower position can be committed after a higher one, so nothing may read the log by it across orders.
-- Text is compared by code point, so that every client sorts keys alike.
CREATE TABLE order_events (
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
    CONSTRAINT order_events_stream_version UNIQUE (tenant_id, aggregate_id, version)
);

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is insert-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER order_events_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ALWAYS: session_replication_role can't switch it off either.
ALTER TABLE order_events ENABLE ALWAYS TRIGGER order_events_insert_only;

ALTER TABLE order_events OWNER TO tillstream_owner;
ALTER FUNCTION refuse_change() OWNER TO tillstream_owner;
REVOKE ALL ON order_events FROM PUBLIC;
REVOKE ALL ON FUNCTION refuse_change() FROM PUBLIC;
GRANT SELECT, INSERT ON order_events TO tillstream_command_service;
GRANT SELECT ON order_events TO tillstream_projector, tillstream_query, tillstream_analyst;
