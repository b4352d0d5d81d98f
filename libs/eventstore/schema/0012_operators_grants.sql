-- The record tells who did what, and when: an operator writes what was done, the database which role it was and the
-- time. So an operator may fill in only the columns that are theirs to tell.
REVOKE INSERT ON operations.actions, operations.results, operations.dead_letter_decisions, operations.builds
    FROM tillstream_operator;
GRANT INSERT (actor, action, arguments) ON operations.actions TO tillstream_operator;
GRANT INSERT (action_id, outcome, details) ON operations.results TO tillstream_operator;
GRANT INSERT (action_id, dead_letter_id, decision, note) ON operations.dead_letter_decisions TO tillstream_operator;
GRANT INSERT (read_model, kind, action_id, version, throttle, hold, generation) ON operations.builds
    TO tillstream_operator;

-- A projector asks for upgrades only, and needs no more than what it is to do: not who asked for it.
REVOKE INSERT ON operations.builds FROM tillstream_projector;
GRANT INSERT (read_model, kind, version) ON operations.builds TO tillstream_projector;
REVOKE SELECT ON operations.actions, operations.results, operations.dead_letter_decisions FROM tillstream_projector;
