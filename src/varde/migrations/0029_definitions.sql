-- Which definitions the store holds, for validation (fhir/knowing.py): kept by the store in the transaction of the
-- resource. Versions only grow, so count and sum of versions tell every process that something changed.

create table fhir_definition (
    rid bigint primary key,
    kind text not null check (kind in ('StructureDefinition', 'ValueSet', 'CodeSystem')),
    url text, -- null: deleted, or without one
    version integer not null
);
create index fhir_definition_url on fhir_definition (url) where url is not null;

-- What was written before this table was: types 22, 128 and 144 are CodeSystem, StructureDefinition and ValueSet.
insert into fhir_definition (rid, kind, url, version)
select rid, case type when 22 then 'CodeSystem' when 128 then 'StructureDefinition' else 'ValueSet' end,
       convert_from(body, 'UTF8')::json ->> 'url', version
  from resource
 where type in (22, 128, 144) and not deleted;
