\set n random(1, 1000)
with found as (
    select r.* from bare_patient b join index_token t on t.param = b.param and t.code = b.code
    join resource r on r.rid = t.rid
    where b.n = :n and not r.deleted order by t.date desc, t.rid limit 21),
logged as (
    insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
        interaction, resource_type, resource_ids, query, through)
    select now(), gen_random_uuid(), min(patient), true, 'system', 'bench', 'bench', 'system', 'HOPERAT',
        'record-system', 'search', 'Patient', coalesce(array_agg('Patient/' || id), '{}'), 'identifier=', 'pgbench'
    from found)
select rid, type, id, version, updated, deleted, body from found;
