-- The newest refused commands of all orders, for the audit trail: without it, all outcomes ever are looked through.
CREATE INDEX command_outcomes_refused_by_time ON command_outcomes (recorded_at) WHERE code IS NOT NULL;
