-- The audit table that a team would write who has PostgreSQL already: every
-- member of an event in a column, append-only by trigger.
CREATE TABLE events (
    index      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received   timestamptz NOT NULL DEFAULT now(),
    tenant     text NOT NULL,
    source     text NOT NULL,
    id         text NOT NULL,
    type       text NOT NULL,
    time       timestamptz NOT NULL,
    issuer     text NOT NULL,
    subject    text,
    jti        text,
    sid        text,
    client     text,
    kid        text,
    alg        text,
    aud        text[],
    scope      text,
    iat        timestamptz,
    exp        timestamptz,
    outcome    text,
    reason     text,
    view       bigint,
    ip         text,
    user_agent text,
    personal   jsonb
);
CREATE INDEX events_subject ON events (subject);
CREATE INDEX events_jti ON events (jti);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
