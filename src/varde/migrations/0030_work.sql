-- What happens later (work_job), what leaves the house (work_outbox, work_receipt), and what people decided about
-- that which stopped (work_dead_decision).
--
-- patient: rid of the Patient a row belongs to; null for none. Queues are claimed across patients and their keys
--      are unique across patients, so these tables stay whole where patients' data is distributed (DESIGN
--      section 6); the rows are few and short-lived beside the store's.
-- due: when it should happen, as asked for. next_try: when it is tried next; equal to due until it has failed.
-- why: type of fault and our own words, never a text from outside that could tell of a person.
-- Every time is the injected clock's.

create table work_job (
    id bigint generated always as identity primary key,
    patient bigint,
    due timestamptz not null,
    next_try timestamptz not null,
    ended timestamptz,
    attempts integer not null default 0,
    recurring boolean not null default false,
    state text not null default 'waiting' check (state in ('waiting', 'done', 'dead', 'discarded')),
    kind text not null,
    key text,
    why text,
    payload json not null,
    check ((state = 'waiting') = (ended is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create unique index work_job_key on work_job (key) where key is not null;
create index work_job_queue on work_job (kind, next_try, id) where state = 'waiting';
create index work_job_dead on work_job (ended, id) where state = 'dead';
create index work_job_ended on work_job (ended) where state in ('done', 'discarded');

-- owner: number of the process that handed it over or was about to; that process holds the advisory lock
--      (work class, owner) for as long as it lives. claim: how many times it was claimed, so that (owner, claim)
--      names one handing over. uncertain: it may have left although no receipt came.
create table work_outbox (
    id bigint generated always as identity primary key,
    patient bigint,
    due timestamptz not null,
    next_try timestamptz not null,
    handed_over timestamptz,
    ended timestamptz,
    attempts integer not null default 0,
    claim integer not null default 0,
    owner integer,
    uncertain boolean not null default false,
    state text not null default 'waiting'
        check (state in ('waiting', 'sending', 'received', 'failed', 'unknown', 'cancelled', 'discarded')),
    edge text not null,
    key text not null,
    why text,
    payload json not null,
    body bytea,
    unique (edge, key),
    check ((state in ('waiting', 'sending')) = (ended is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
alter table work_outbox alter column body set storage external;
create index work_outbox_queue on work_outbox (edge, next_try, id) where state = 'waiting';
create index work_outbox_sending on work_outbox (edge, owner) where state = 'sending';
create index work_outbox_dead on work_outbox (ended, id) where state in ('failed', 'unknown');
create index work_outbox_state on work_outbox (edge, state);
create index work_outbox_ended on work_outbox (ended) where ended is not null;
create index work_outbox_body on work_outbox (ended) where ended is not null and body is not null;
create index work_outbox_patient on work_outbox (patient, edge, due) where patient is not null;

-- Numbers of processes that hand over.
create sequence work_owner as integer cycle;

-- Each (edge, key, state) is heard once, whether it came as an answer or later. message is null when the house
-- knows no such message.
create table work_receipt (
    id bigint generated always as identity primary key,
    message bigint,
    at timestamptz not null,             -- by the edge
    heard timestamptz not null,
    edge text not null,
    key text not null,
    state text not null,
    reference text,
    detail json not null,
    unique (edge, key, state)
);
create index work_receipt_message on work_receipt (message);

create table work_dead_decision (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    job bigint,
    message bigint,
    decision text not null check (decision in ('retry', 'discard')),
    actor text not null,
    reason text not null,
    name text not null,                  -- kind of the job, or edge
    state text not null,                 -- before the decision
    attempts integer not null,
    why text,
    check ((job is null) <> (message is null))
);
create index work_dead_decision_job on work_dead_decision (job) where job is not null;
create index work_dead_decision_message on work_dead_decision (message) where message is not null;

-- What each check of reconciliation found when it last ran. since: when it first found something it still finds.
create table work_check (
    name text primary key,
    ran timestamptz not null,
    since timestamptz,
    found integer not null,
    detail text not null,
    fault text                           -- the check itself failed; found and detail are then those of before
);
