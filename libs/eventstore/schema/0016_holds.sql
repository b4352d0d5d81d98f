-- What the dead-letter limit holds back of a topic of commands, until an operator releases it: a whole partition, or what one
-- source (ce_source) sends there that names no command. The services place holds, and any of them goes by what is here.
CREATE TABLE operations.holds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    -- NULL: the partition, from first_offset on. Empty: what tells no source.
    source text,
    first_offset bigint NOT NULL,
    reason text NOT NULL,
    held_since timestamptz NOT NULL DEFAULT now(),
    -- Released by whom, with all that lay before this offset by then: none of it counts towards the limit any more.
    released_to bigint,
    released_by bigint REFERENCES operations.actions (id),
    CHECK ((released_to IS NULL) = (released_by IS NULL))
);
CREATE UNIQUE INDEX holds_one_at_a_time ON operations.holds (topic, partition, source) NULLS NOT DISTINCT
    WHERE released_to IS NULL;

-- Where the records lie that are set aside with their source. They stay on their topic, and are judged anew once the hold is
-- released; a row goes when what came of its record is stored.
CREATE TABLE operations.set_aside (
    hold_id bigint NOT NULL REFERENCES operations.holds (id),
    record_offset bigint NOT NULL,
    PRIMARY KEY (hold_id, record_offset)
);

ALTER TABLE operations.holds OWNER TO tillstream_owner;
ALTER TABLE operations.set_aside OWNER TO tillstream_owner;
GRANT USAGE ON SCHEMA operations TO tillstream_command_service;
GRANT SELECT, INSERT (topic, partition, source, first_offset, reason) ON operations.holds TO tillstream_command_service;
GRANT SELECT, INSERT, DELETE ON operations.set_aside TO tillstream_command_service;
GRANT SELECT ON operations.holds, operations.set_aside TO tillstream_operator, tillstream_query;
GRANT UPDATE (released_to, released_by) ON operations.holds TO tillstream_operator;
