-- The runs of journeys, derived from their TestReports in the store's own transaction (services/improvement/runs.py),
-- so that the status page counts 90 days of them in milliseconds. Tells of no patient.

create table improvement_run (
    report bigint primary key,           -- rid of the TestReport
    issued timestamptz not null,
    passed boolean not null,
    journey text collate "C" not null,
    id text collate "C" not null         -- of the TestReport
);
create index improvement_run_journey on improvement_run (journey, issued) include (passed, id);

-- Reports that stood before the table did. 142: TestReport.
insert into improvement_run (report, issued, passed, journey, id)
select rid, (report ->> 'issued')::timestamptz, report ->> 'result' = 'pass',
    report -> 'testScript' -> 'identifier' ->> 'value', id
from (select rid, id, convert_from(body, 'UTF8')::jsonb as report from resource where type = 142 and not deleted) stood
where report -> 'testScript' -> 'identifier' ->> 'system' = 'https://varde.no/fhir/NamingSystem/journey'
    and report ->> 'issued' is not null;
