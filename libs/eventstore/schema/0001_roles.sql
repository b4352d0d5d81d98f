-- Roles belong to the whole cluster: another database, or another migration at this very moment, may have made them.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT * FROM (VALUES
            ('tillstream_owner', 'NOLOGIN'),
            ('tillstream_command_service', 'LOGIN'),
            ('tillstream_outbox_relay', 'LOGIN'),
            ('tillstream_projector', 'LOGIN'),
            ('tillstream_query', 'LOGIN'),
            ('tillstream_analyst', 'LOGIN')
        ) AS roles (name, login)
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = made.name) THEN
                EXECUTE format('CREATE ROLE %I %s', made.name, made.login);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO tillstream_command_service, tillstream_outbox_relay, '
        'tillstream_projector, tillstream_query, tillstream_analyst',
        current_database()
    );
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO
    tillstream_owner, tillstream_command_service, tillstream_outbox_relay, tillstream_projector, tillstream_query,
    tillstream_analyst;

ALTER TABLE schema_migrations OWNER TO tillstream_owner;
