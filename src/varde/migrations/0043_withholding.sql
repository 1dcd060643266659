-- What clinicians withhold of single things, from the Consents of trust/consents.py: trust/withholding.py keeps it in the
-- store's own transaction, so that a thing stays withheld though another system writes it anew without its labels.

create table trust_withheld (
    rid bigint not null,                 -- of the thing
    consent bigint not null,             -- rid of the Consent that says so
    patient bigint not null,
    unit text collate "C",               -- id of the Organization where it was decided
    codes text[] not null,               -- of code system 9603
    opens timestamptz,                   -- when it opens by itself (FAM-35); null: when it is lifted
    event text collate "C",              -- or what opens it
    since timestamptz not null,
    primary key (rid, consent)
);
create index trust_withheld_consent on trust_withheld (consent);
create index trust_withheld_unit on trust_withheld (unit);
create index trust_withheld_event on trust_withheld (patient) where event is not null;

drop table trust_awaited;                -- was never written
