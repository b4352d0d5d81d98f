-- The refused commands, with what an audit asks of them. The projector, which owns the view read_models.audit_log and
-- by whose rights that view reads, gets this and not command_outcomes: nothing of accepted commands, and of a refused
-- one not what it asked for. A grant on columns could do neither: the message and the authoriser lie within columns
-- that hold the rest too. Being the schema's and not the projector's, it outlives every generation of its read model.
-- security_barrier: no function of a reader's own is shown a row that the condition keeps back.
CREATE VIEW refused_commands WITH (security_barrier) AS
SELECT tenant_id, aggregate_id AS order_id, command_id, command_type, nullif(actor, '') AS actor,
    data ->> 'authorised_by' AS authorised_by, code,
    -- A message may quote what came; text can't hold a NUL, and one such row would make the whole view unreadable.
    replace(convert_from(value, 'UTF8'), '\u0000', '\ufffd')::json ->> 'message' AS message,
    occurred_at, recorded_at
FROM command_outcomes
WHERE code IS NOT NULL;

ALTER VIEW refused_commands OWNER TO tillstream_owner;
REVOKE ALL ON refused_commands FROM PUBLIC;
GRANT SELECT ON refused_commands TO tillstream_projector;
