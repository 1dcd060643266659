\set n random(1, 1000)
with found as (select r.* from bare_patient b join resource r on r.rid = b.rid where b.n = :n),
logged as (
    insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
        interaction, resource_type, resource_ids, query, through)
    select now(), gen_random_uuid(), patient, true, 'system', 'bench', 'bench', 'system', 'HOPERAT', 'record-system',
        'read', 'Patient', array[id], '', 'pgbench' from found)
select rid, type, id, version, updated, deleted, body from found;
