-- Seals of the access log are append only, as the log itself is.

create trigger trust_audit_seal_append_only before update or delete or truncate on trust_audit_seal
    for each statement execute function trust_audit_is_append_only();

-- The id_token holds the national identity number: the provider's session is named by its sid instead.

alter table trust_session drop column id_token;
