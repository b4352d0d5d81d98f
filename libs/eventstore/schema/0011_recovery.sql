-- A relay that starts compares the end of the topic with the log: on a restored database, what it sent again would
-- hide from others that the topic holds more. Of an event it may see which it is, and nothing of what it says.
GRANT SELECT (tenant_id, aggregate_id, version, event_id) ON order_events TO tillstream_outbox_relay;

-- Filling an empty topic of events from the log: how far it is, moved with the outbox rows it speaks of.
CREATE TABLE operations.republishings (
    topic_id uuid PRIMARY KEY,
    action_id bigint NOT NULL REFERENCES operations.actions (id),
    -- The last order whose events are in the outbox or on the topic.
    after_tenant text COLLATE "C" NOT NULL,
    after_order uuid NOT NULL,
    events bigint NOT NULL,
    finished_at timestamptz
);
ALTER TABLE operations.republishings OWNER TO tillstream_owner;
GRANT SELECT ON operations.republishings TO tillstream_operator, tillstream_query;
