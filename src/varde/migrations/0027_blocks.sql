-- What the Consents of trust/consents.py say, as far as the SQL of blocks, reservations and emergency access asks it.
-- Kept in the store's own transaction: trust/blocks.py, trust/hidden.py, trust/units.py, trust/emergency.py.

create table trust_unit (                -- the tree of organisations: each and all that it is part of, itself too
    unit text collate "C" not null,      -- id of the Organization
    above text collate "C" not null,
    trust boolean not null,              -- `above` is the enterprise that `unit` belongs to (a health trust, an office)
    primary key (unit, above)
);

create table trust_unit_parent (
    unit text collate "C" primary key,
    parent text collate "C",
    enterprise boolean not null          -- stands in the register of legal entities by itself
);

create table trust_place (               -- what stands for a unit where a resource says whom it comes from
    rid bigint not null,                 -- of a PractitionerRole, Practitioner, HealthcareService or Location
    unit text collate "C" not null,
    primary key (rid, unit)
);

create table trust_block (
    consent bigint primary key,          -- rid of the Consent; kept when it is deleted, whose former versions stay hidden
    patient bigint not null,
    starts timestamptz not null,
    ends timestamptz not null,           -- the moment it was withdrawn, for one that was
    hpr text collate "C",                -- whom it keeps out: a health worker
    unit text collate "C",               -- or staff of a unit, and of all below it; neither: everybody but the patient
    source text collate "C",             -- what it hides: what comes from a unit, from all who do not work there
    things bigint[],                     -- or these, by rid, and what belongs to them: trust_hidden
    sharing boolean not null,            -- or what does not come from the reader's own enterprise; none: everything
    allowed_hpr text[] not null,         -- whom it does not keep out
    allowed_units text[] not null
);
create index trust_block_patient on trust_block (patient);

create table trust_hidden (              -- what blocks of single things hide: the things, and what belongs to them
    rid bigint not null,
    consent bigint not null,
    primary key (rid, consent)
);
create index trust_hidden_consent on trust_hidden (consent);

create table trust_origin (              -- which units a patient's things come from; only of patients whose blocks ask it
    rid bigint not null,
    unit text collate "C" not null,
    patient bigint not null,
    primary key (rid, unit)
);
create index trust_origin_patient on trust_origin (patient);

create table trust_reservation (
    consent bigint primary key,
    patient bigint not null,
    service text collate "C" not null,
    starts timestamptz not null,
    ends timestamptz not null
);
create index trust_reservation_patient on trust_reservation (patient, service);

create table trust_emergency (           -- emergency access: who, to whom, from and until when (FAM-34)
    consent bigint primary key,
    id text collate "C" not null,        -- of the Consent
    patient bigint not null,
    patient_id text collate "C" not null,
    hpr text collate "C" not null,
    unit text collate "C" not null,
    starts timestamptz not null,
    ends timestamptz not null
);
create index trust_emergency_staff on trust_emergency (hpr, ends desc);

create table trust_awaited (             -- delayed things that an event opens (FAM-35)
    rid bigint primary key,
    type text not null,
    id text collate "C" not null,
    event bigint not null                -- rid of the Appointment or Encounter that is waited for
);
create index trust_awaited_event on trust_awaited (event);

-- What was stored before this migration: the tree, and what stands for a unit.
insert into trust_unit_parent (unit, parent, enterprise)
select id, nullif(substring(said -> 'partOf' ->> 'reference' from '^Organization/(.+)$'), ''),
    coalesce(said -> 'identifier' @> '[{"system": "urn:oid:2.16.578.1.12.4.1.4.101"}]', false)
from (select id, convert_from(body, 'UTF8')::jsonb as said from resource where type = 100 and not deleted) stored;

with said as (
    select rid, type, convert_from(body, 'UTF8')::jsonb as said from resource where type in (109, 60, 71) and not deleted
), named as (
    select rid, said, substring(coalesce(said -> 'organization', said -> 'providedBy', said -> 'managingOrganization')
        ->> 'reference' from '^Organization/(.+)$') as unit from said
)
insert into trust_place (rid, unit)
select rid, unit from named where unit is not null
union
select p.rid, unit from named join resource p
    on p.type = 108 and p.id = substring(said -> 'practitioner' ->> 'reference' from '^Practitioner/(.+)$')
where unit is not null;

with recursive tree as (
    select unit, unit as above, 0 as depth from trust_unit_parent
    union all
    select tree.unit, over.parent, tree.depth + 1 from tree
    join trust_unit_parent over on over.unit = tree.above and over.parent is not null
    where tree.depth < 20
), named as (
    select tree.unit, tree.above, min(tree.depth) as depth, bool_or(coalesce(one.enterprise, false)) as enterprise
    from tree left join trust_unit_parent one on one.unit = tree.above group by tree.unit, tree.above
), ranked as (
    select unit, above,
        row_number() over (partition by unit order by enterprise desc, case when enterprise then depth else -depth end)
    from named
)
insert into trust_unit (unit, above, trust) select unit, above, row_number = 1 from ranked;
