-- A build that holds stays level beside the live generation, compared, and swaps once the operator lets it.
ALTER TABLE operations.builds ADD COLUMN hold boolean NOT NULL DEFAULT false;
GRANT UPDATE (hold) ON operations.builds TO tillstream_operator;

-- Generations nobody wants any more: a projector drops their tables. An operator may ask for it too.
ALTER TABLE projections.generations ADD COLUMN drop_requested boolean NOT NULL DEFAULT false;
GRANT UPDATE (drop_requested) ON projections.generations TO tillstream_operator;
