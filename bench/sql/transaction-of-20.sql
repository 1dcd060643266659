\set k random(1, 9000000000000000)
with own as (select :k::bigint + n as rid from generate_series(1, 19) n),
written as (
    insert into resource (rid, patient, date, updated, version, type, bucket, deleted, id, body, indexed)
    select rid, :k::bigint, now(), now(), 1, 96, 1, false, 'bare-' || rid, repeat('x', 1000)::bytea, 1 from own
    union all select :k::bigint, :k::bigint, now(), now(), 1, 103, 1, false, 'bare-' || :k::bigint, repeat('x', 1000)::bytea, 1),
tokens as (insert into index_token (rid, system, patient, date, param, bucket, code)
    select rid, 1, :k::bigint, now(), p, 1, 'code' from own, generate_series(1, 3) p
    union all select :k::bigint, 1, :k::bigint, now(), p, 1, 'code-' || :k::bigint from generate_series(1, 10) p),
refs as (insert into index_reference (rid, target, patient, date, param, bucket, target_type, form)
    select rid, :k::bigint, :k::bigint, now(), p, 1, 103, 'l' from own, generate_series(1, 2) p),
strings as (insert into index_string (rid, patient, param, bucket, value, exact)
    select rid, :k::bigint, 1, 1, 'hemoglobin', 'Hemoglobin' from own
    union all select :k::bigint, :k::bigint, p, 1, 'name-' || :k::bigint, 'Name-' || :k::bigint from generate_series(1, 13) p),
dates as (insert into index_date (rid, low, high, patient, param, bucket)
    select rid, now(), now(), :k::bigint, 1, 1 from own union all select :k::bigint, now(), now(), :k::bigint, 1, 1),
quantities as (insert into index_quantity (rid, low, high, system, patient, param, bucket, code, base, base_low, base_high)
    select rid, 5, 6, 1, :k::bigint, p, 1, 'g/dL', 1, 50, 60 from own, generate_series(1, 2) p)
insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
    interaction, resource_type, resource_ids, query, through)
select now(), gen_random_uuid(), :k::bigint, true, 'system', 'bench', 'bench', 'system', 'HOPERAT', 'record-system',
    'create', 'Observation', array['bare-' || :k::bigint], '', 'pgbench' from generate_series(1, 2);
