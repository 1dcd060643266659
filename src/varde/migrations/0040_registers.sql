-- Stand-ins for registers outside the house: the population register (Folkeregisteret) and the contact and
-- reservation register (KRR). Nothing of Varde's own is kept here, and no other table refers to these: where a real
-- register is set up, the tables of the same kind stand empty. Read only by edges/registers/embedded.py.

create table register_person (
    number text collate "C" primary key,
    name text not null,
    born date not null,
    dead date,
    status text not null,
    protection text not null,
    address_lines text[],
    postal_code text,
    city text,
    country text,
    municipality text,
    -- Codes 7 and 6: the address is never held (LET-08, FAM-14).
    check (protection not in ('fortrolig', 'strengtFortrolig')
           or coalesce(address_lines::text, postal_code, city, country, municipality) is null)
);

create table register_parent (           -- parental responsibility; a parent need not be in register_person
    child text collate "C" not null,
    parent text collate "C" not null,
    primary key (child, parent)
);
create index register_parent_parent on register_parent (parent, child);

create table register_contact (
    number text collate "C" primary key,
    reserved boolean not null,
    mobile text,
    email text,
    notifiable boolean not null,
    mailbox text,
    language text
);

create table register_outage (           -- registers that the demo and tests hold to be down: person, contact
    register text primary key
);
