-- Whole messages, written in the append's transaction and deleted by the relay once the broker has them.
-- A relay reads all the shards it holds in id order; as a rule it holds all of them.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    topic text NOT NULL,
    key bytea,
    headers json NOT NULL,
    value bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
)
-- A queue is mostly dead rows: vacuum it by the rows deleted, whatever its size, and at full speed.
WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);

ALTER TABLE outbox OWNER TO tillstream_owner;
REVOKE ALL ON outbox FROM PUBLIC;
GRANT INSERT ON outbox TO tillstream_command_service;
GRANT SELECT, DELETE ON outbox TO tillstream_outbox_relay;
