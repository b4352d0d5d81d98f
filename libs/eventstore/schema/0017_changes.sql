-- What changed since somebody last looked. Transactions commit in another order than they began in, so neither a time nor
-- a number that they take tells a reader what he has seen; but PostgreSQL knows the lowest transaction that is still open.
-- So rows tell the transaction that made them what they say (`changed`), and who looks again begins at what was then the
-- lowest open one (`watermark`): whatever he did not see has this number, or a higher one.
--
-- Refused commands are rows of the event store; the rows of read models tell it in tables of their own.
ALTER TABLE command_outcomes
    ADD COLUMN appended_in bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX command_outcomes_refused_by_change ON command_outcomes USING brin (appended_in)
    WITH (autosummarize = on) WHERE code IS NOT NULL;

CREATE OR REPLACE VIEW refused_commands WITH (security_barrier) AS
SELECT tenant_id, aggregate_id AS order_id, command_id, command_type, nullif(actor, '') AS actor,
    data ->> 'authorised_by' AS authorised_by, code,
    replace(convert_from(value, 'UTF8'), '\u0000', '\ufffd')::json ->> 'message' AS message,
    occurred_at, recorded_at, appended_in AS changed
FROM command_outcomes
WHERE code IS NOT NULL AND aggregate_type = 'order';

-- For each read model the watermark of this moment, and the era that it is of. Numbers of one era say nothing of another:
-- a rebuild's generation was written before it was seen, and a restored or promoted server counts its transactions anew
-- from where it was. `min_recovery_end_timeline` is ahead of the checkpoint's on a server that has just been promoted; a
-- recovery belongs to every restore (docs/recovery.md), also to those that leave the timeline as it was.
CREATE VIEW read_models.freshness AS
SELECT g.read_model, g.generation,
    concat_ws('.', s.system_identifier, greatest(c.timeline_id, r.min_recovery_end_timeline), recovered.count, g.generation)
        AS era,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS watermark
FROM projections.generations AS g, pg_control_system() AS s, pg_control_checkpoint() AS c, pg_control_recovery() AS r,
    (SELECT extract(epoch FROM max(started_at)) AS count FROM operations.actions WHERE action = 'recover') AS recovered
WHERE g.state = 'live';

ALTER VIEW read_models.freshness OWNER TO tillstream_owner;
REVOKE ALL ON read_models.freshness FROM PUBLIC;
GRANT SELECT ON read_models.freshness
    TO tillstream_query, tillstream_analyst, tillstream_operator, tillstream_query_service;
