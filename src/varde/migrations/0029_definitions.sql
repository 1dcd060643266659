-- Which definitions the store holds, for validation (fhir/knowing.py): kept by the store in the transaction of the
-- resource. Changes are only ever added, so their count and sum tell every process that something changed.

create table fhir_definition (
    rid bigint primary key,
    kind text not null check (kind in ('StructureDefinition', 'ValueSet', 'CodeSystem')),
    url text, -- null: deleted, or without one
    changes integer not null -- how often it was written or deleted
);

-- What was written before this table was: types 22, 128 and 144 are CodeSystem, StructureDefinition and ValueSet.
insert into fhir_definition (rid, kind, url, changes)
select rid, case type when 22 then 'CodeSystem' when 128 then 'StructureDefinition' else 'ValueSet' end,
       convert_from(body, 'UTF8')::json ->> 'url', 1
  from resource
 where type in (22, 128, 144) and not deleted;
