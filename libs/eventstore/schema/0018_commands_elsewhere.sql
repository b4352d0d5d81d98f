-- Which sources send commands to another partition than the fleet's partitioner gives their orders, as the services count it.
CREATE TABLE operations.commands_elsewhere (
    topic text NOT NULL,
    -- ce_source; empty where none is told.
    source text NOT NULL,
    records bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, source)
);

ALTER TABLE operations.commands_elsewhere OWNER TO tillstream_owner;
GRANT SELECT, INSERT, UPDATE ON operations.commands_elsewhere TO tillstream_command_service;
GRANT SELECT ON operations.commands_elsewhere TO tillstream_operator, tillstream_query;
