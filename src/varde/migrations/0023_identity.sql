-- Logging in: what a session knows of its login, the tokens kept for it, and the logout tokens that were used.

alter table trust_session
    add column provider_subject text,    -- the provider's own name of the person (sub): for its logout tokens
    add column organisation text,        -- whose staff logged in: organisation number, or two with a colon between
    add column level smallint not null default 4,  -- how sure the provider was: 3 substantial, 4 high
    add column authenticated timestamptz,          -- when the person last proved who they are
    add column device text,
    add column tokens bytea,             -- the provider's tokens, sealed by the secret in the person's cookie
    add column renewing timestamptz;     -- since when one process renews them
update trust_session set authenticated = created;
alter table trust_session alter column authenticated set not null;
create index trust_session_provider on trust_session (provider_session);
create index trust_session_subject on trust_session (provider_subject);

alter table trust_login
    add column max_age int,              -- seconds since the person proved who they are: a login to step up
    add column organisation text;

create table trust_logout (              -- logout tokens that were used: none is taken twice
    digest bytea primary key,            -- SHA-256 of issuer and jti
    expires timestamptz not null
);
create index trust_logout_expires on trust_logout (expires);
