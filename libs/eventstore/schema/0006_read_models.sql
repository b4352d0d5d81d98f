-- projections holds the projector's own tables; read_models the views that others read.
CREATE SCHEMA projections AUTHORIZATION tillstream_owner;
CREATE SCHEMA read_models AUTHORIZATION tillstream_owner;

REVOKE ALL ON SCHEMA projections, read_models FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA projections, read_models TO tillstream_projector;
GRANT USAGE ON SCHEMA read_models TO tillstream_query, tillstream_analyst;

ALTER DEFAULT PRIVILEGES FOR ROLE tillstream_projector IN SCHEMA read_models
    GRANT SELECT ON TABLES TO tillstream_query, tillstream_analyst;
