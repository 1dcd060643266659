-- The authorization server for apps (trust/smart): who the apps are, what persons and operators let them do, and the
-- codes and tokens that prove it. Of every secret only a SHA-256 digest is kept.

create table smart_client (
    id text primary key,
    name text not null,
    publisher text not null,             -- who answers for the app, as the person sees it
    authentication text not null check (authentication in ('none', 'secret', 'key')),
    secret_digest bytea,
    jwks text,                           -- public keys, JSON
    jwks_uri text,
    redirect_uris text[] not null,
    launch_uri text,                     -- where staff's page opens it
    sides text[] not null,               -- patient, staff, system: who may use it
    scopes text not null,                -- the most it may ask for
    ground text,                         -- key of trust/grounds.py, for what it does by itself
    introspects boolean not null,        -- a resource server: may ask about other apps' tokens
    created timestamptz not null,
    closed timestamptz
);

create table smart_request (             -- an authorization request, from its check to the person's answer
    digest bytea primary key,
    client text not null references smart_client,
    pushed boolean not null,             -- by PAR: not yet opened in a browser
    parameters text not null,            -- JSON, checked
    patient text,                        -- Patient id that was chosen meanwhile
    created timestamptz not null
);
create index smart_request_created on smart_request (created);

create table smart_launch (              -- an app opened from a page of staff's
    digest bytea primary key,
    client text not null references smart_client,
    hpr text not null,
    unit text not null,
    patient text,
    encounter text,
    created timestamptz not null
);
create index smart_launch_created on smart_launch (created);

create table smart_authorization (       -- what one person, or the operators, let one app do
    id bigint generated always as identity primary key,
    client text not null references smart_client,
    kind text not null,                  -- patient, staff, system
    person text not null,                -- Patient id or HPR number of who answered; the app's own id for a system
    patient text,                        -- Patient id in the launch context
    unit text,
    encounter text,
    launched boolean not null,           -- from a page of ours, which shows who the patient is
    scopes text not null,
    session bytea,                       -- online_access: lives as long as this session
    created timestamptz not null,
    ends timestamptz not null,
    revoked timestamptz
);
create index smart_authorization_person on smart_authorization (person, kind) where revoked is null;
create index smart_authorization_client on smart_authorization (client) where revoked is null;
create index smart_authorization_ends on smart_authorization (ends);

create table smart_code (
    digest bytea primary key,
    authorization_id bigint not null references smart_authorization on delete cascade,
    redirect_uri text not null,
    challenge text not null,
    nonce text,
    expires timestamptz not null,
    used timestamptz                     -- kept for a while, so that a second use shows
);
create index smart_code_authorization on smart_code (authorization_id);

create table smart_token (
    digest bytea primary key,
    authorization_id bigint not null references smart_authorization on delete cascade,
    kind text not null check (kind in ('access', 'refresh')),
    scopes text not null,
    created timestamptz not null,
    expires timestamptz not null,
    replaced timestamptz                 -- a refresh token that was used, or an access token that was taken back
);
create index smart_token_authorization on smart_token (authorization_id);
create index smart_token_expires on smart_token (expires);

create table smart_revocation (          -- what processes that remember tokens must forget
    authorization_id bigint not null,
    digest bytea,                        -- one access token; null for all of the authorization's
    at timestamptz not null
);
create index smart_revocation_at on smart_revocation (at);

create table smart_assertion (           -- client assertions that were used (jti): none is taken twice
    client text not null,
    digest bytea not null,
    expires timestamptz not null,
    primary key (client, digest)
);
create index smart_assertion_expires on smart_assertion (expires);

create table smart_failure (             -- failed tries at the token endpoint, by whom and whence
    key bytea primary key,
    began timestamptz not null,
    count int not null
);
