-- Terminology of the store, taken apart: kept by fhir/terminology/projection.py in the transaction that writes the
-- CodeSystem, ValueSet or ConceptMap. rid is the resource's; who may see it is asked of `resource`, never here.

create table terminology_resource (
    rid bigint not null,
    type smallint not null,
    url text collate "C" not null,          -- in canonical spelling (fhir/definitions.canonical_system)
    version text collate "C",
    status text,
    dated timestamptz,                      -- the resource's own date, where it says one
    content text,                           -- of a code system: complete, fragment, supplement…
    supplements text collate "C",           -- of a supplement: url of the code system, in canonical spelling
    all_codes text collate "C",             -- of a code system: the url of the value set of all its codes
    head bytea not null,                    -- the resource without its concepts or elements
    primary key (rid)
);
create index terminology_resource_url on terminology_resource (url);
create index terminology_resource_supplements on terminology_resource (supplements) where supplements is not null;
create index terminology_resource_all_codes on terminology_resource (all_codes) where all_codes is not null;

-- Every uri by which a resource is meant: its url, and the OIDs among its identifiers.
create table terminology_name (
    name text collate "C" not null,
    rid bigint not null,
    primary key (name, rid)
);
create index terminology_name_rid on terminology_name (rid);

-- number: the concept's place in the code system, which is also its order.
-- key: the code as codes are compared: folded where case does not matter.
create table terminology_concept (
    rid bigint not null,
    number integer not null,
    inactive boolean not null,
    abstract boolean not null,
    code text collate "C" not null,
    key text collate "C" not null,
    display text,
    detail bytea,                           -- definition, designations and properties, as JSON
    primary key (rid, number)
);
create index terminology_concept_key on terminology_concept (rid, key);

-- The hierarchy, closed: every ancestor of every concept.
create table terminology_ancestor (
    rid bigint not null,
    ancestor integer not null,
    descendant integer not null,
    direct boolean not null,
    primary key (rid, ancestor, descendant)
);
create index terminology_ancestor_up on terminology_ancestor (rid, descendant, ancestor);

create table terminology_property (
    rid bigint not null,
    number integer not null,
    property text collate "C" not null,
    value text collate "C" not null
);
create index terminology_property_value on terminology_property (rid, property, value, number);
create index terminology_property_of on terminology_property (rid, number);

-- The words of codes, displays and designations, folded as string search folds them.
create table terminology_word (
    rid bigint not null,
    number integer not null,
    word text collate "C" not null,
    primary key (rid, number, word)
);
create index terminology_word_word on terminology_word (rid, word, number);

-- One row a target of a concept map; target is null where the map says that there is none.
create table terminology_mapping (
    rid bigint not null,
    number integer not null,
    source_system text collate "C" not null,
    target_system text collate "C" not null,
    source text collate "C" not null,
    target text collate "C",
    detail bytea not null,                  -- as JSON: display, equivalence, comment, dependsOn, product
    primary key (rid, number)
);
create index terminology_mapping_source on terminology_mapping (source, source_system, rid);
create index terminology_mapping_target on terminology_mapping (target, target_system, rid) where target is not null;
