-- What operators do: asked for in the database, carried out by the services, and recorded.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tillstream_operator') THEN
        CREATE ROLE tillstream_operator LOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tillstream_operator', current_database());
END
$$;

CREATE SCHEMA operations AUTHORIZATION tillstream_owner;
REVOKE ALL ON SCHEMA operations FROM PUBLIC;
GRANT USAGE ON SCHEMA public, projections, read_models, operations TO tillstream_operator;
GRANT USAGE ON SCHEMA operations TO tillstream_projector, tillstream_query;

-- The record: who asked for what, and what came of it. A row is never changed; an action without a result has been
-- broken off, or is still under way.
CREATE TABLE operations.actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    -- The person, as the command line knows them; the database knows only the role.
    actor text NOT NULL,
    role name NOT NULL DEFAULT session_user,
    action text NOT NULL,
    arguments jsonb NOT NULL
);

CREATE TABLE operations.results (
    action_id bigint PRIMARY KEY REFERENCES operations.actions (id),
    finished_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('done', 'failed', 'interrupted')),
    details jsonb NOT NULL
);

CREATE TRIGGER actions_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON operations.actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER results_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON operations.results
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE operations.actions ENABLE ALWAYS TRIGGER actions_insert_only;
ALTER TABLE operations.results ENABLE ALWAYS TRIGGER results_insert_only;

-- A read model with a row here is paused: its projectors leave their group and stay out. A replay's own pause
-- (cause 'replay') ends with it and leaves an operator's alone.
CREATE TABLE operations.pauses (
    read_model text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('operator', 'replay', 'recovery')),
    action_id bigint NOT NULL REFERENCES operations.actions (id),
    paused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (read_model, cause)
);

-- A replay under way, by the offsets it moves to: kept, so that one that was broken off can be finished.
CREATE TABLE operations.replays (
    action_id bigint PRIMARY KEY REFERENCES operations.actions (id),
    read_model text NOT NULL,
    state text NOT NULL CHECK (state IN ('pausing', 'resetting', 'replaying', 'done', 'cancelled')),
    -- [{"partition": 0, "from": 812, "to": 0, "end": 812}, ...]
    plan jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX replays_one_at_a_time ON operations.replays (read_model)
    WHERE state NOT IN ('done', 'cancelled');

-- New generations asked for, and how far each is. A projector of the same version carries it out.
CREATE TABLE operations.builds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_model text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('rebuild', 'rollback', 'upgrade')),
    -- An upgrade is a projector's own: nobody asked for it.
    action_id bigint REFERENCES operations.actions (id),
    version integer NOT NULL,
    -- Orders a second; null: as fast as it goes.
    throttle integer CHECK (throttle > 0),
    cancel_requested boolean NOT NULL DEFAULT false,
    generation integer,
    state text NOT NULL DEFAULT 'requested' CHECK (
        state IN ('requested', 'scanning', 'catching_up', 'comparing', 'swapped', 'failed', 'cancelled')
    ),
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    -- Moves while somebody works at it.
    advanced_at timestamptz,
    finished_at timestamptz,
    orders_total bigint,
    orders_done bigint NOT NULL DEFAULT 0,
    -- The last order the scan has done.
    after_tenant text COLLATE "C",
    after_order uuid,
    comparison jsonb,
    error text
);
CREATE UNIQUE INDEX builds_one_at_a_time ON operations.builds (read_model)
    WHERE state NOT IN ('swapped', 'failed', 'cancelled');

-- What was decided about a dead letter, by its id. Never changed: a second decision is a second row.
CREATE TABLE operations.dead_letter_decisions (
    action_id bigint PRIMARY KEY REFERENCES operations.actions (id),
    dead_letter_id text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('retried', 'resolved')),
    decided_at timestamptz NOT NULL DEFAULT now(),
    note text NOT NULL
);
CREATE INDEX dead_letter_decisions_by_letter ON operations.dead_letter_decisions (dead_letter_id);
CREATE TRIGGER dead_letter_decisions_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON operations.dead_letter_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE operations.dead_letter_decisions ENABLE ALWAYS TRIGGER dead_letter_decisions_insert_only;

ALTER TABLE operations.actions OWNER TO tillstream_owner;
ALTER TABLE operations.results OWNER TO tillstream_owner;
ALTER TABLE operations.pauses OWNER TO tillstream_owner;
ALTER TABLE operations.replays OWNER TO tillstream_owner;
ALTER TABLE operations.builds OWNER TO tillstream_owner;
ALTER TABLE operations.dead_letter_decisions OWNER TO tillstream_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA operations TO tillstream_operator, tillstream_query, tillstream_projector;
GRANT INSERT ON operations.actions, operations.results, operations.dead_letter_decisions TO tillstream_operator;
GRANT INSERT, DELETE ON operations.pauses TO tillstream_operator;
GRANT INSERT, UPDATE ON operations.replays TO tillstream_operator;
GRANT INSERT ON operations.builds TO tillstream_operator, tillstream_projector;
GRANT UPDATE (cancel_requested) ON operations.builds TO tillstream_operator;
GRANT UPDATE ON operations.builds TO tillstream_projector;

-- The projectors' bookkeeping. Earlier builds made the first three at each start of a projector.
CREATE TABLE IF NOT EXISTS projections.generations (
    read_model text NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL,
    -- The version that the read model's code declared when these tables were made.
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (read_model, generation)
);
ALTER TABLE projections.generations DROP CONSTRAINT IF EXISTS generations_state_check;
-- previous: was live, and is kept for a rollback.
ALTER TABLE projections.generations
    ADD CONSTRAINT generations_state_check CHECK (state IN ('building', 'live', 'previous'));
CREATE UNIQUE INDEX IF NOT EXISTS generations_live ON projections.generations (read_model)
    WHERE state = 'live';

CREATE TABLE IF NOT EXISTS projections.checkpoints (
    read_model text NOT NULL,
    generation integer NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    topic_id uuid NOT NULL,
    next_offset bigint NOT NULL,
    -- Counts the assignments: who holds an older epoch has lost the partition and writes nothing more.
    epoch bigint NOT NULL,
    -- The last offset of ours that Kafka is known to have committed.
    acknowledged_offset bigint,
    -- A rewind is under way: the orders with events at or past next_offset are still being dropped.
    dropping boolean NOT NULL,
    advanced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (read_model, generation, topic, partition)
) WITH (fillfactor = 50);
-- A rewind is under way: orders are folded again from the event store, in key order, and have got past this one.
ALTER TABLE projections.checkpoints RENAME COLUMN dropping TO refolding;
ALTER TABLE projections.checkpoints
    ADD COLUMN refolded_tenant text COLLATE "C",
    ADD COLUMN refolded_order uuid,
    -- Until next_offset is here again, a rewind is being made up for.
    ADD COLUMN replay_until bigint;

-- What was decided when a partition was assigned, where it was more than a plain start.
CREATE TABLE IF NOT EXISTS projections.assignments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at timestamptz NOT NULL DEFAULT now(),
    read_model text NOT NULL,
    generation integer NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    decision text NOT NULL,
    committed_offset bigint,
    checkpoint_offset bigint,
    goes_on_from bigint NOT NULL
);

-- Orders that a read model can't apply an event of: they wait, with their later events, for a retry.
CREATE TABLE projections.parked (
    read_model text NOT NULL,
    generation integer NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    partition integer NOT NULL,
    -- The event that could not be applied, and the newest that waits behind it.
    version bigint NOT NULL,
    newest_version bigint NOT NULL,
    last_offset bigint NOT NULL,
    error text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 1,
    tried_at timestamptz NOT NULL DEFAULT now(),
    -- An operator wants it tried again; taken away by the try.
    retry_requested boolean NOT NULL DEFAULT false,
    PRIMARY KEY (read_model, generation, tenant_id, order_id)
);
CREATE INDEX parked_by_partition ON projections.parked (read_model, generation, partition);

ALTER TABLE projections.generations OWNER TO tillstream_owner;
ALTER TABLE projections.checkpoints OWNER TO tillstream_owner;
ALTER TABLE projections.assignments OWNER TO tillstream_owner;
ALTER TABLE projections.parked OWNER TO tillstream_owner;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON projections.generations, projections.checkpoints, projections.assignments, projections.parked
    TO tillstream_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA projections, read_models TO tillstream_operator;
GRANT SELECT ON projections.generations, projections.checkpoints, projections.parked TO tillstream_query;
GRANT USAGE ON SCHEMA projections TO tillstream_query;
GRANT UPDATE (retry_requested) ON projections.parked TO tillstream_operator;
-- Each generation's tables, which the projector makes.
ALTER DEFAULT PRIVILEGES FOR ROLE tillstream_projector IN SCHEMA projections
    GRANT SELECT ON TABLES TO tillstream_operator;
ALTER DEFAULT PRIVILEGES FOR ROLE tillstream_projector IN SCHEMA read_models
    GRANT SELECT ON TABLES TO tillstream_operator;

-- To verify and to look, an operator reads the log; of the outbox only how much waits, and since when.
GRANT SELECT ON order_events, order_snapshots, command_outcomes, schema_migrations TO tillstream_operator;
GRANT SELECT (id, shard, topic, created_at) ON outbox TO tillstream_operator, tillstream_query;
