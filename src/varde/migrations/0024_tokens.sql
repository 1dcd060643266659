-- Tokens at the API: proofs of possession that were used, and the keys that apps' tokens are bound to (RFC 9449).

-- One row a request, for a minute: not worth a write to disk each. A crash of the server empties the table, and with it
-- the row below, by which that shows: proofs older than the memory are then refused (trust/replay.py).
create unlogged table trust_proof (
    digest bytea primary key,            -- SHA-256 over the key's thumbprint and the proof's jti, cut to 16 bytes
    expires timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.05);

create unlogged table trust_proof_memory (
    single boolean primary key default true check (single),
    since timestamptz not null           -- no proof issued before this is taken
);
insert into trust_proof_memory (since) values ('-infinity');

create table trust_nonce (               -- the key that all processes make and know nonces by
    single boolean primary key default true check (single),
    key bytea not null
);

alter table smart_client add column bound boolean not null default false;  -- only tokens that are bound to a key
alter table smart_code add column thumbprint text;   -- of the key that the app said would redeem it (dpop_jkt)
alter table smart_token add column thumbprint text;  -- of the key that the token is bound to; null: a bearer token

-- What a subscription remembers of its owner is what every kept scope remembers (trust/keeping.py).
update subscription set granted = jsonb_build_object(
    'kind', 'system', 'key', owner, 'name', owner, 'unit', null, 'unit_name', null, 'patient', null,
    'purpose', 'HOPERAT', 'ground', 'record-system', 'through', 'Varde', 'decision', null,
    'types', granted::jsonb -> 'types', 'write', '[]'::jsonb,
    'grant', case when (granted::jsonb ->> 'registered')::boolean
        then (granted::jsonb -> 'grant') || jsonb_build_object('origin', jsonb_build_object(
            'client', owner, 'authorization', null, 'issuer', null, 'organisation', null, 'api_scopes', '[]'::jsonb))
        else '{"rules": [], "patient": null, "origin": null}'::jsonb end
)::text where granted::jsonb ? 'registered';
