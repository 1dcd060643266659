-- The FHIR store: current resources, their history, and one index table a kind of search value.
--
-- rid: 64-bit hash of "Type/id" (fhir/keys.py). A reference can therefore be indexed before its target
--      exists, and a read by id needs no second index. The primary key makes a collision an error.
-- bucket: the distribution key (DESIGN section 6), 0..4095, the same for all of one patient's compartment and
--      written into the ids the server makes. On one machine it is only carried; `varde migrate --citus`
--      distributes by it.
-- patient: rid of the Patient in whose compartment the row is; null outside every compartment.
-- date: the type's main date (fhir/definitions.main_date), by which a person would sort; 0001-01-02 for none, so
--      that index rows can be found again by equality and keys of pages never meet a null.
-- security: codes of meta.security that restrict access (9603), for scopes. labels are "system|code".

create sequence resource_seq as bigint;

create table resource (
    rid bigint not null,
    patient bigint,
    date timestamptz not null,
    updated timestamptz not null,
    seq bigint not null default nextval('resource_seq'),
    version integer not null,
    type smallint not null,
    bucket smallint not null,
    deleted boolean not null default false,
    synthetic boolean not null default false,
    security text[],
    id text collate "C" not null,
    body bytea,
    primary key (rid),
    check (deleted = (body is null))
);
alter table resource alter column body set storage external;
create index resource_patient on resource (patient, type, date desc, rid) where patient is not null and not deleted;
create index resource_type on resource (type, updated, rid) where not deleted;
create index resource_date on resource (type, date desc, rid) where not deleted;
create index resource_seq_order on resource (seq);

create table resource_history (
    rid bigint not null,
    patient bigint,
    updated timestamptz not null,
    seq bigint not null,
    version integer not null,
    type smallint not null,
    bucket smallint not null,
    deleted boolean not null,
    security text[],
    id text collate "C" not null,
    body bytea,
    primary key (rid, version)
);
alter table resource_history alter column body set storage external;
create index resource_history_type on resource_history (type, seq);
create index resource_history_seq on resource_history (seq);

-- param: 32-bit hash of "Type.code" of a SearchParameter (fhir/keys.py).
-- system: 64-bit hash of the canonical spelling of the system uri; 0 for none.

create table index_token (
    rid bigint not null,
    system bigint not null,
    patient bigint,
    date timestamptz not null,
    param integer not null,
    bucket smallint not null,
    code text collate "C" not null
);
create index index_token_value on index_token (param, code, date desc, rid) include (system);
create index index_token_patient on index_token (patient, param, code, date desc, rid) include (system) where patient is not null;

create table index_reference (
    rid bigint not null,
    target bigint not null, -- rid of a local target; hash of the absolute url or of "system|value" of a logical one
    patient bigint,
    date timestamptz not null,
    param integer not null,
    bucket smallint not null,
    target_type smallint,   -- null when unknown
    form "char" not null    -- 'l' local, 'u' absolute url, 'i' identifier (logical), 'c' canonical
);
create index index_reference_target on index_reference (param, target, date desc, rid) include (target_type, form);
create index index_reference_patient on index_reference (patient, param, target, rid) where patient is not null;

create table index_string (
    rid bigint not null,
    patient bigint,
    param integer not null,
    bucket smallint not null,
    value text collate "C" not null, -- folded (fhir/search/fold.py), at most 500 characters
    exact text collate "C" not null
);
create index index_string_value on index_string (param, value, rid);
create index index_string_patient on index_string (patient, param, value, rid) where patient is not null;

create table index_date (
    rid bigint not null,
    low timestamptz not null,
    high timestamptz not null,
    patient bigint,
    param integer not null,
    bucket smallint not null
);
create index index_date_low on index_date (param, low, rid) include (high);
create index index_date_high on index_date (param, high, rid) include (low);
create index index_date_patient on index_date (patient, param, low, rid) include (high) where patient is not null;

create table index_quantity ( -- numbers too: system 0, code ''
    rid bigint not null,
    low double precision not null,
    high double precision not null,
    system bigint not null,
    patient bigint,
    param integer not null,
    bucket smallint not null,
    code text collate "C" not null
);
create index index_quantity_value on index_quantity (param, low, rid) include (high, system, code);
create index index_quantity_patient on index_quantity (patient, param, low, rid) where patient is not null;

create table index_uri (
    rid bigint not null,
    patient bigint,
    param integer not null,
    bucket smallint not null,
    value text collate "C" not null
);
create index index_uri_value on index_uri (param, value, rid);
