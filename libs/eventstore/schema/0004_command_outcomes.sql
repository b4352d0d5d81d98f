-- Each command and what became of it, kept: it makes commands idempotent, and it holds the refused ones for the audit.
-- json, not jsonb: data and headers keep their text, also what jsonb refuses.
CREATE TABLE command_outcomes (
    tenant_id text COLLATE "C" NOT NULL,
    command_id uuid NOT NULL,
    aggregate_id uuid,
    command_type text NOT NULL,
    actor text NOT NULL,
    data json,
    occurred_at timestamptz,
    fingerprint bytea NOT NULL,
    code text,
    version bigint,
    headers json NOT NULL,
    value bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, command_id)
);

-- An order's refused commands, for its audit trail. Accepted ones are found through their events.
CREATE INDEX command_outcomes_refused ON command_outcomes (tenant_id, aggregate_id, recorded_at)
    WHERE code IS NOT NULL;

CREATE TRIGGER command_outcomes_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON command_outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE command_outcomes ENABLE ALWAYS TRIGGER command_outcomes_insert_only;

ALTER TABLE command_outcomes OWNER TO tillstream_owner;
REVOKE ALL ON command_outcomes FROM PUBLIC;
GRANT SELECT, INSERT ON command_outcomes TO tillstream_command_service;
GRANT SELECT ON command_outcomes TO tillstream_query;
