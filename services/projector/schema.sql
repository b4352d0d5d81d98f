-- The projectors' bookkeeping. Every statement may run again at each start.

CREATE TABLE IF NOT EXISTS projections.generations (
    read_model text NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL CHECK (state = 'live'),
    -- The version that the read model's code declared when these tables were made.
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (read_model, generation)
);
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
