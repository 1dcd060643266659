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
