-- Data in bulk: exports and imports under way, their files, and the pieces that the files are made of.
--
-- A piece of an export is a part of one gzip stream, cut so that reading can begin at each; a piece of an import is
-- whole lines of NDJSON, gzipped alone. Both stand in the database, since any web process may be asked for a file and
-- any worker may go on with the work.

create table fhir_bulk (
    id uuid primary key,
    kind text not null check (kind in ('export', 'import')),
    owner text collate "C" not null,     -- who started it: only they are told of it
    scope json not null,                 -- from what their scope is made again in a worker
    request text not null,               -- the address that was asked
    asked json not null,
    patients bigint[],                   -- rids of the members that an export is held to; null for no such limit
    state text not null default 'running' check (state in ('running', 'done', 'failed', 'cancelled')),
    moment timestamptz not null,         -- an export shows the store as it was then
    position json not null default '{}', -- where the next slice goes on
    progress text not null default '',
    created timestamptz not null,
    ended timestamptz,
    expires timestamptz not null,
    issues json not null default '[]'    -- OperationOutcome issues: what was passed over, why it failed
);
create index fhir_bulk_owner on fhir_bulk (owner) where state = 'running';
create index fhir_bulk_expires on fhir_bulk (expires);

create table fhir_bulk_file (
    bulk uuid not null references fhir_bulk on delete cascade,
    number integer not null,
    role text not null check (role in ('output', 'deleted', 'error', 'input')),
    type text not null,
    source text,                         -- where an input is fetched from
    whole boolean not null default false,
    resources bigint not null default 0,
    size bigint not null default 0,      -- bytes, unpacked
    packed bigint not null default 0,    -- bytes, as stored
    patients bigint[],                   -- whom an output tells of
    primary key (bulk, number)
);

create table fhir_bulk_piece (
    bulk uuid not null,
    file integer not null,
    number integer not null,
    start bigint not null,               -- where it begins in the unpacked file; of an import: its first line
    size integer not null,               -- bytes, unpacked; of an import: its lines
    done boolean not null default false, -- an import's: taken care of
    written integer not null default 0,
    unchanged integer not null default 0,
    body bytea,
    refused bytea,                       -- an import's: OperationOutcomes, one a line
    primary key (bulk, file, number),
    foreign key (bulk, file) references fhir_bulk_file on delete cascade
);
alter table fhir_bulk_piece alter column body set storage external;

-- What was deleted since: an export with _since tells of it.
create index resource_deleted on resource (type, updated, rid) where deleted;
