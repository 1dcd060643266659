-- Where paper about a referral goes, as the clinician who assessed it chose (table A of the family's rules).

alter table trust_assessment add column paper text not null default 'parents';
update trust_assessment a set paper = chosen.code
from resource r, lateral (
    select one ->> 'valueCode' as code
    from jsonb_array_elements(coalesce(convert_from(r.body, 'utf8')::jsonb -> 'extension', '[]')) one
    where one ->> 'url' = 'https://varde.no/fhir/StructureDefinition/consent-paper'
) chosen
where r.rid = a.rid;
