-- How far `varde load` has come in each file: written in the transaction of the resources themselves.
-- source is the file's name without its folder; digest (SHA-256 of its bytes) tells two of the same name apart.

create table fhir_load (
    digest bytea not null,
    source text not null,
    done bigint not null,               -- resources taken care of, in the order of the file
    refused bigint not null default 0,
    finished boolean not null default false,
    updated timestamptz not null,
    primary key (digest, source)
);
