-- A cache of the fold, several an order; any row may be deleted at any time.
-- json, not jsonb: the state is kept as text, it is never looked into.
CREATE TABLE order_snapshots (
    tenant_id text COLLATE "C" NOT NULL,
    aggregate_id uuid NOT NULL,
    schema_version integer NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL,
    max_occurred_at timestamptz NOT NULL,
    state json NOT NULL,
    PRIMARY KEY (tenant_id, aggregate_id, schema_version, version)
);

ALTER TABLE order_snapshots OWNER TO tillstream_owner;
REVOKE ALL ON order_snapshots FROM PUBLIC;
GRANT SELECT, INSERT ON order_snapshots TO tillstream_command_service;
GRANT SELECT ON order_snapshots TO tillstream_projector, tillstream_query;
