-- What the Consents of trust/consents.py say, as far as the law's SQL asks it (trust/referrals.py): kept by the store in
-- the transaction of the Consent.

create table trust_assessment (          -- who a referral is open to (FAM-19), by the Consent that says so
    rid bigint primary key,              -- of the Consent
    patient bigint not null,
    referral bigint not null,            -- rid of the ServiceRequest
    dated timestamptz not null,          -- the latest of a referral counts
    starts timestamptz not null,
    ends timestamptz not null,
    opened bigint[] not null             -- rids of the Patients, the patient's own and parents', who see its things
);
create index trust_assessment_patient on trust_assessment (patient, referral, dated desc, rid desc);

create table trust_consent_kind (            -- Consents that hold a decision of who may see what, and which kind
    rid bigint primary key,              -- kept when the Consent is deleted: its former versions stay hidden
    kind text collate "C" not null
);
