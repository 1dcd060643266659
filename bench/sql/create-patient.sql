\set k random(1, 9000000000000000000)
with written as (
    insert into resource (rid, patient, date, updated, version, type, bucket, deleted, id, body, indexed)
    values (:k::bigint, :k::bigint, now(), now(), 1, 103, 1, false, 'bare-' || :k::bigint, repeat('x', 1000)::bytea, 1)),
tokens as (insert into index_token (rid, system, patient, date, param, bucket, code)
    select :k::bigint, 1, :k::bigint, now(), p, 1, 'code-' || :k::bigint from generate_series(1, 10) p),
strings as (insert into index_string (rid, patient, param, bucket, value, exact)
    select :k::bigint, :k::bigint, p, 1, 'name-' || :k::bigint, 'Name-' || :k::bigint from generate_series(1, 13) p),
dates as (insert into index_date (rid, low, high, patient, param, bucket) values (:k::bigint, now(), now(), :k::bigint, 1, 1))
insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
    interaction, resource_type, resource_ids, query, through)
values (now(), gen_random_uuid(), :k::bigint, true, 'system', 'bench', 'bench', 'system', 'HOPERAT', 'record-system',
    'create', 'Patient', array['bare-' || :k::bigint], '', 'pgbench');
