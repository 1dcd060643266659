-- Who may see what: care relations, the access log, sessions, logins under way, use of the portal.

create table trust_care_relation (
    patient bigint not null,
    unit text collate "C" not null,      -- id of the Organization that treats
    source bigint not null,              -- rid of the resource that shows the relation
    starts timestamptz not null,
    ends timestamptz not null,           -- its time after the last contact included (FAM-30)
    primary key (source, unit)
);
create index trust_care_relation_patient on trust_care_relation (patient, unit, ends);
create index trust_care_relation_unit on trust_care_relation (unit, ends);

create table trust_audit (
    id bigint generated always as identity primary key,
    transaction_id xid8 not null default pg_current_xact_id(),
    at timestamptz not null,
    disclosure uuid not null,            -- rows of one disclosure that tells of several patients share it
    patient bigint,
    allowed boolean not null,
    actor_kind text not null,
    actor text not null,                 -- Patient id, HPR number or name of the system; never a national id
    actor_name text not null,
    role text not null,
    unit text,
    unit_name text,
    acting_for text,                     -- Patient id, when a representative acts (FAM-18)
    purpose text not null,
    ground text not null,
    interaction text not null,
    resource_type text not null,
    resource_ids text[] not null,
    query text not null,
    through text not null
);
create index trust_audit_patient on trust_audit (patient, at desc) where patient is not null;
create index trust_audit_transaction on trust_audit (transaction_id, id);

create function trust_audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the access log is append only';
end $$;
create trigger trust_audit_append_only before update or delete or truncate on trust_audit
    for each statement execute function trust_audit_is_append_only();

create table trust_audit_seal (
    number bigint primary key,
    horizon xid8 not null,               -- every transaction before it is sealed by this or an earlier seal
    rows bigint not null,
    digest bytea not null,               -- SHA-256 over the previous digest and the rows
    sealed timestamptz not null
);

create table trust_session (
    digest bytea primary key,            -- SHA-256 of the secret in the cookie
    kind text not null,
    patient text,                        -- Patient id in focus
    person text not null,                -- Patient id of who logged in, or HPR number
    display_name text not null,
    acting_for_name text,
    unit text,
    unit_name text,
    role text,
    csrf text not null,
    provider_session text,
    id_token text,
    created timestamptz not null,
    seen timestamptz not null
);
create index trust_session_person on trust_session (person);

create table trust_login (
    state_digest bytea primary key,
    kind text not null,
    nonce text not null,
    verifier text not null,
    return_to text not null,
    created timestamptz not null
);

create table trust_portal_use (
    patient bigint primary key,
    consented timestamptz not null,
    last_login timestamptz not null
);
