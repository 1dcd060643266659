-- Batches of letters: how far a sending has come. The letters themselves are Communications in the store.
--
-- order_values: what staff wrote for the letters of a batch that is not through; emptied when it is.
-- refused: [{"appointment": id, "faults": [text…]}] of letters that could not be made (LET-31). No names.

create table letters_batch (
    id text collate "C" primary key,
    unit text collate "C" not null,      -- id of the Organization
    key text collate "C" not null,       -- idempotency key (LET-53)
    template text not null,
    actor text not null,                 -- HPR number
    actor_name text not null,
    created timestamptz not null,
    total integer not null,
    done integer not null default 0,
    sent integer not null default 0,
    digital integer not null default 0,
    paper integer not null default 0,
    order_values json not null,
    refused jsonb not null default '[]',
    unique (unit, key)
);
create index letters_batch_created on letters_batch (unit, created desc);

-- Derived in the store's own transaction (services/letters/called.py): coming appointments by unit, and which letters
-- stand about which. Read for ids alone; what is shown is read through the gate.

create table letters_appointment (
    appointment bigint not null,         -- rid
    unit text collate "C" not null,      -- id of the Organization
    starts timestamptz not null,
    id text collate "C" not null,
    primary key (appointment, unit)
);
create index letters_appointment_unit on letters_appointment (unit, starts, appointment) include (id);

create table letters_about (
    letter bigint primary key,           -- rid of the Communication
    appointment bigint not null
);
create index letters_about_appointment on letters_about (appointment);
