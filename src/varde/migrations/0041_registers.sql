-- More of what the stand-in of the population register tells: names apart, numbers that changed, guardians, relatives,
-- placed children, and a feed of changes. See 0040.

alter table register_person
    add column family text,
    add column residence text,
    add column responsibility text,
    add column placed boolean not null default false,
    add constraint register_person_hidden check (
        protection not in ('fortrolig', 'strengtFortrolig') or residence is null);

create table register_former (           -- numbers a person had before, or has beside the one in use
    number text collate "C" primary key,
    person text collate "C" not null,
    until date
);
create index register_former_person on register_former (person);

create table register_guardian (
    ward text collate "C" not null,
    guardian text collate "C" not null,
    kind text not null,
    extent text not null,
    areas text[] not null,
    starts date,
    ends date,
    primary key (ward, guardian, kind)
);
create index register_guardian_guardian on register_guardian (guardian, ward);

create table register_kin (
    person text collate "C" not null,
    relative text collate "C" not null,
    role text not null,
    primary key (person, relative, role)
);
create index register_kin_relative on register_kin (relative);

create table register_change (           -- told in the order of transactions, once those before have ended
    number text collate "C" not null,
    transaction_id xid8 not null default pg_current_xact_id()
);
create index register_change_transaction on register_change (transaction_id);
