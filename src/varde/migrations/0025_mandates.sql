-- Who may act for whom: what the population register said of persons, and the Consents by which people let others
-- act for them (trust/mandates.py).

create table trust_relative (            -- an answer of the population register, used for an hour at most (FAM-15)
    number text collate "C" primary key, -- the number asked with, which may be a former one
    asked timestamptz not null,
    known jsonb                          -- null: unknown there
);
create index trust_relative_asked on trust_relative (asked);

create table trust_decision (            -- kept by trust/granted.py in the store's own transaction
    source bigint primary key,           -- rid of the Consent
    kind text not null check (kind in ('power-of-attorney', 'youth-access', 'child-welfare')),
    patient text collate "C" not null,   -- id of the Patient whom it concerns: the giver, the young person, the child
    receiver text collate "C",           -- id of the Patient who receives a power of attorney
    things text[] not null,
    decided timestamptz not null,
    by_whom text,                        -- reference of who decided
    starts timestamptz not null,
    ends timestamptz,
    withdrawn boolean not null
);
create index trust_decision_patient on trust_decision (patient, kind);
create index trust_decision_receiver on trust_decision (receiver) where receiver is not null;

create table trust_register_feed (       -- how far the changes of a register outside are followed (population.py)
    register text primary key,
    position text not null,
    asked timestamptz not null
);
