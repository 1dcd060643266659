\set n random(1, 1000)
\set k random(1, 9000000000000000000)
with own as (select rid as patient from bare_patient where n = :n),
written as (
    insert into resource (rid, patient, date, updated, version, type, bucket, deleted, id, body, indexed)
    select :k, patient, now(), now(), 1, 96, 1, false, 'bare-' || :k, repeat('x', 1000)::bytea, 1 from own),
tokens as (insert into index_token (rid, system, patient, date, param, bucket, code)
    select :k, 1, patient, now(), p, 1, 'code' from own, generate_series(1, 3) p),
refs as (insert into index_reference (rid, target, patient, date, param, bucket, target_type, form)
    select :k, patient, patient, now(), p, 1, 103, 'l' from own, generate_series(1, 2) p),
strings as (insert into index_string (rid, patient, param, bucket, value, exact)
    select :k, patient, 1, 1, 'hemoglobin', 'Hemoglobin' from own),
dates as (insert into index_date (rid, low, high, patient, param, bucket) select :k, now(), now(), patient, 1, 1 from own),
quantities as (insert into index_quantity (rid, low, high, system, patient, param, bucket, code, base, base_low, base_high)
    select :k, 5, 6, 1, patient, p, 1, 'g/dL', 1, 50, 60 from own, generate_series(1, 2) p)
insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
    interaction, resource_type, resource_ids, query, through)
select now(), gen_random_uuid(), patient, true, 'system', 'bench', 'bench', 'system', 'HOPERAT', 'record-system',
    'create', 'Observation', array['bare-' || :k], '', 'pgbench' from own;
