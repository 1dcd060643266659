\set n random(1, 1000)
with own as (select r.* from bare_patient b join resource r on r.rid = b.rid where b.n = :n for update of r),
history as (
    insert into resource_history (rid, patient, updated, seq, version, type, bucket, deleted, security, id, body)
    select rid, patient, updated, seq, version, type, bucket, deleted, security, id, body from own
    on conflict do nothing),
written as (
    update resource r set updated = now(), seq = nextval('resource_seq'), version = r.version + 1 from own
    where r.rid = own.rid),
dates as (insert into index_date (rid, low, high, patient, param, bucket) select rid, now(), now(), patient, 2, 1 from own)
insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
    interaction, resource_type, resource_ids, query, through)
select now(), gen_random_uuid(), patient, true, 'system', 'bench', 'bench', 'system', 'HOPERAT', 'record-system',
    'update', 'Patient', array[id], '', 'pgbench' from own;
