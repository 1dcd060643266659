\set n random(1, 1000)
with found as (
    select r.* from bare_patient b join index_token t on t.patient = b.rid and t.patient <> t.rid
    join resource r on r.rid = t.rid
    where b.n = :n and t.code = '718-7' and not r.deleted order by t.date desc, t.rid limit 21),
logged as (
    insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, purpose, ground,
        interaction, resource_type, resource_ids, query, through)
    select now(), gen_random_uuid(), min(patient), true, 'system', 'bench', 'bench', 'system', 'HOPERAT',
        'record-system', 'search', 'Observation', coalesce(array_agg('Observation/' || id), '{}'), 'code=&patient=', 'pgbench'
    from found)
select rid, type, id, version, updated, deleted, body from found;
