-- What is set for each tenant (TILLSTREAM_TENANTS), as the command services decide by it: who reads the read models needs
-- the tenants' time zones, and sees no service's settings.
CREATE TABLE operations.tenants (
    tenant_id text COLLATE "C" PRIMARY KEY,
    time_zone text NOT NULL,
    day_ends_at time NOT NULL,
    clock_ahead_limit integer NOT NULL,
    refuse_clock_ahead boolean NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE operations.tenants OWNER TO tillstream_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON operations.tenants TO tillstream_command_service;
GRANT SELECT ON operations.tenants
    TO tillstream_query, tillstream_analyst, tillstream_operator, tillstream_query_service;
GRANT USAGE ON SCHEMA operations TO tillstream_analyst;

-- Tenants are kept apart here as everywhere: 0013 says how.
ALTER TABLE operations.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY all_tenants ON operations.tenants
    TO tillstream_command_service, tillstream_query, tillstream_operator, tillstream_analyst
    USING (true);
CREATE POLICY own_tenant ON operations.tenants FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));

CREATE VIEW read_models.tenants WITH (security_invoker = true) AS
SELECT tenant_id, time_zone, day_ends_at, clock_ahead_limit, refuse_clock_ahead, since FROM operations.tenants;

ALTER VIEW read_models.tenants OWNER TO tillstream_owner;
REVOKE ALL ON read_models.tenants FROM PUBLIC;
GRANT SELECT ON read_models.tenants
    TO tillstream_query, tillstream_analyst, tillstream_operator, tillstream_query_service;

COMMENT ON VIEW read_models.tenants IS
    'What is set for tenants, as the command services that started last have it. One that is not here has UTC, and days that end at midnight.';
COMMENT ON COLUMN read_models.tenants.tenant_id IS 'Whose it is: a store, say.';
COMMENT ON COLUMN read_models.tenants.time_zone IS 'An IANA name, by which its business days and hours go.';
COMMENT ON COLUMN read_models.tenants.day_ends_at IS 'The local time at which a business day ends and the next one begins.';
COMMENT ON COLUMN read_models.tenants.clock_ahead_limit IS 'By how many seconds a terminal''s clock may be ahead before it is told.';
COMMENT ON COLUMN read_models.tenants.refuse_clock_ahead IS 'Whether commands from clocks further ahead are refused.';
COMMENT ON COLUMN read_models.tenants.since IS 'Since when it has been set so. Days and hours of earlier orders stay as they were.';

COMMENT ON VIEW read_models.freshness IS 'How far each read model is: a row for each that has started.';
COMMENT ON COLUMN read_models.freshness.read_model IS 'The read model: sales also has the view sales_changes, process_steps also process_ends.';
COMMENT ON COLUMN read_models.freshness.generation IS 'Which set of its tables is live.';
COMMENT ON COLUMN read_models.freshness.era IS 'Whose numbers the watermark and the column changed are of. When it is another, load everything anew.';
COMMENT ON COLUMN read_models.freshness.watermark IS 'All changes by transactions below it can be seen. Next time, load the rows with changed at or above it.';
COMMENT ON COLUMN read_models.freshness.complete_until IS 'Up to when it has everything that was recorded; null until that is found out.';
COMMENT ON COLUMN read_models.freshness.positions IS 'JSON: by partition, the offset on orders.events at which it goes on.';

COMMENT ON TABLE order_events IS 'The log: every event of every order. Nothing in it ever changes.';
COMMENT ON COLUMN order_events.position IS 'A number of its own. Not the order of commits: read by order and version.';
COMMENT ON COLUMN order_events.event_id IS 'The event''s id, on orders.events too.';
COMMENT ON COLUMN order_events.aggregate_id IS 'The order.';
COMMENT ON COLUMN order_events.tenant_id IS 'Whose it is: a store, say.';
COMMENT ON COLUMN order_events.version IS 'The order''s version after the event, from 1, without a gap.';
COMMENT ON COLUMN order_events.event_type IS 'What happened, such as ItemAdded.';
COMMENT ON COLUMN order_events.schema_version IS 'Which form the payload has.';
COMMENT ON COLUMN order_events.payload IS 'JSON: the event''s own fields; amounts and quantities as text.';
COMMENT ON COLUMN order_events.metadata IS 'JSON: actor, command_id, correlation_id; undoes and redoes name versions.';
COMMENT ON COLUMN order_events.occurred_at IS 'When it occurred, by the terminal''s clock.';
COMMENT ON COLUMN order_events.recorded_at IS 'When it was recorded, by the store''s clock; never backwards within an order.';
