-- The access log as it is read, followed up, proved and kept: see docs/decisions/0039-log.md.

-- The local decision that another system's attestation leads back to (IDENTITY.md 1.3), as JSON; null for none.
alter table trust_audit add column decision_ref text;
-- Staff's own log, and how much each of them looks at.
create index trust_audit_staff on trust_audit (actor, at desc) where actor_kind = 'staff';

-- How long the log is kept: whole seals are forgotten, oldest first, and their digests stay in the chain (FAM-42).
create table trust_audit_cut (
    seal bigint primary key,             -- the last seal whose rows are forgotten
    cutoff timestamptz not null,         -- every row under it is older than this
    rows bigint not null,
    cut timestamptz not null
);
create trigger trust_audit_cut_append_only before update or delete or truncate on trust_audit_cut
    for each statement execute function trust_audit_is_append_only();

create function trust_audit_cut_is_old_enough() returns trigger language plpgsql as $$
begin
    -- Measured by the newest seal, not by the server's clock: what is being sealed now is now.
    if new.cutoff > (select max(sealed) from trust_audit_seal) - interval '5 years' then
        raise exception 'the access log is kept for five years';
    end if;
    if exists (select 1 from trust_audit where transaction_id < (select horizon from trust_audit_seal
               where number = new.seal) and at >= new.cutoff) then
        raise exception 'a newer row stands under this seal';
    end if;
    return new;
end $$;
create trigger trust_audit_cut_old_enough before insert on trust_audit_cut
    for each row execute function trust_audit_cut_is_old_enough();

create function trust_audit_row_is_cut() returns trigger language plpgsql as $$
begin
    if old.transaction_id < (select horizon from trust_audit_seal
                             where number = (select max(seal) from trust_audit_cut)) then
        return old;
    end if;
    raise exception 'the access log is append only';
end $$;
drop trigger trust_audit_append_only on trust_audit;
create trigger trust_audit_append_only before update or truncate on trust_audit
    for each statement execute function trust_audit_is_append_only();
create trigger trust_audit_deleted before delete on trust_audit
    for each row execute function trust_audit_row_is_cut();

-- How far the recurring proof of the chain has come, and whether it ever failed.
create table trust_audit_proof (
    single boolean primary key default true check (single),
    seal bigint not null,                -- the last one that was proved in this round
    rows bigint not null,                -- proved in this round
    began timestamptz not null,
    ran timestamptz not null,
    whole timestamptz,                   -- when the last round ended
    wrong bigint                         -- the first seal found wrong; stays until a person has seen to it
);

-- Staff under threat, whose names patients do not read (FAM-41). Kept from the Practitioner's own flag.
create table trust_shielded (
    source bigint primary key,
    hpr text not null
);
create index trust_shielded_hpr on trust_shielded (hpr);

-- What looks like snooping (FAM-37), for the privacy officer.
create table trust_finding (
    id bigint generated always as identity primary key,
    kind text not null,
    day date not null,
    actor text,                          -- HPR number; null where it is about the patient's many viewers
    actor_name text not null,
    unit text,
    unit_name text,
    patient bigint,                      -- null where it is about how much one person looked at
    first_at timestamptz not null,
    last_at timestamptz not null,
    rows bigint not null,
    refused bigint not null,
    found timestamptz not null,
    state text not null default 'open' check (state in ('open', 'explained', 'breach')),
    decided timestamptz,
    decided_by text,
    decided_name text,
    reason text,
    unique nulls not distinct (kind, day, actor, patient)
);
create index trust_finding_open on trust_finding (last_at desc, id) where state = 'open';

-- How far each reader of new rows has come: every transaction before the horizon is done.
create table trust_log_progress (
    name text primary key,
    horizon xid8 not null
);
