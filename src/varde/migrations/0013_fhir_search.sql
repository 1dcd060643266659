-- What search needs beside the index tables of 0010.

-- resource.indexed: a number for the definitions by which the row's search values were extracted
-- (fhir/definitions.index_digest). A row with another number than its type's is stale: `varde reindex`.
alter table resource add column indexed integer not null default 0;

-- A quantity with a unit of UCUM stands in base units too, so that 5.4 mg is found as 0.0054 g. base: which units it
-- can be compared with (hash of the dimension). unit: how it is shown, where that is not the code.
alter table index_quantity
    add column base integer,
    add column base_low double precision,
    add column base_high double precision,
    add column unit text collate "C";
create index index_quantity_base on index_quantity (param, base, base_low, rid) include (base_high) where base is not null;

-- References to what is inside the resource itself, for chains (form 'k'); forms 'c' canonical, 'p' canonical without
-- its version where one is written, 'v' with the version of the target, 's' the urls of the resource itself.
create index index_reference_contained on index_reference (param, target, rid) where form = 'k';

-- Resources inside others. rid: hash of "Type/id#contained id"; their search values stand in the index tables under it.
create table resource_contained (
    rid bigint not null,
    container bigint not null,
    bucket smallint not null,
    type smallint not null,
    id text collate "C" not null,
    primary key (rid)
);
create index resource_contained_type on resource_contained (type, container, rid);
create index resource_contained_container on resource_contained (container);

-- Full text. seq: of the version of the resource that was read.
create table index_text (
    rid bigint not null primary key,
    seq bigint not null,
    bucket smallint not null,
    narrative tsvector,
    content tsvector
);
create index index_text_narrative on index_text using gin (narrative);
create index index_text_content on index_text using gin (content);

-- done: every resource with a number up to it stands in index_text. noted: the last number given when it was looked,
-- horizon: the transactions that had not begun then.
create table index_text_state (
    one boolean primary key default true check (one),
    done bigint not null,
    noted bigint not null,
    horizon xid8
);
insert into index_text_state (done, noted) values (0, 0);

-- Letters as fhir/search/fold.py folds them.
create function fhir_folded(said text) returns text language sql immutable parallel safe as $$
    select replace(replace(translate(lower(normalize(said)),
        'àáâãäçèéêëìíîïðñòóôõöùúûüýÿāăąćĉċčďđēĕėęěĝğġģĥĩīĭįıĵķĺļľłńņňŋōŏőŕŗřśŝşšţťŧũūŭůűųŵŷźżžſơưǎǐǒǔǖǘǚǜǟǡǣǧǩǫǭǯǰǵǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȟȧȩȫȭȯȱȳ',
        'aaaaæceeeeiiiidnooooøuuuuyyaaaccccddeeeeegggghiiiiijkllllnnnnooorrrsssstttuuuuuuwyzzzsouaiouuuuuaaægkooʒjgnaæøaaeeiioorruusthaeooooy'), 'ß', 'ss'), 'þ', 'th')
$$;

-- The words of a resource: of its narrative, or of every text in it. A body that cannot be read so has none.
create function fhir_words(body bytea, narrative boolean) returns tsvector language plpgsql immutable parallel safe as $$
declare
    parsed jsonb;
    said text;
begin
    parsed := convert_from(body, 'UTF8')::jsonb;
    if narrative then
        said := parsed #>> '{text,div}';
    else
        select string_agg(value #>> '{}', ' ') into said
        from jsonb_path_query(parsed, 'strict $.** ? (@.type() == "string")') as value
        where length(value #>> '{}') < 100000;
    end if;
    if said is null then
        return null;
    end if;
    said := left(fhir_folded(regexp_replace(said, '<[^>]*>', ' ', 'g')), 300000);
    return to_tsvector('norwegian', said) || to_tsvector('simple', said);
exception when others then
    return null;
end $$;

-- How far the search values of each type are made anew after its definitions changed. at_updated, at_rid: the last
-- resource that was looked at, in the order of (updated, rid). finished: all of the type was.
create table search_index (
    type smallint primary key,
    digest integer not null,
    at_updated timestamptz,
    at_rid bigint,
    examined bigint not null default 0,
    rewritten bigint not null default 0,
    started timestamptz not null,
    finished timestamptz
);

-- Keys of parameters under which values may stand. retired: no definition uses the key any more.
create table search_key (
    key integer primary key,
    type smallint not null,
    code text not null,
    retired timestamptz
);

-- Custom search parameters: what the active SearchParameter resources come to (rid: of the resource).
create table search_parameter (
    rid bigint not null,
    type smallint not null,
    code text not null,
    definition json not null,
    primary key (type, code)
);
create index search_parameter_rid on search_parameter (rid);

-- Goes up with every change of search_parameter and of what is finished in search_index: what every process looks at.
create table search_version (
    one boolean primary key default true check (one),
    number bigint not null
);
insert into search_version (number) values (1);
