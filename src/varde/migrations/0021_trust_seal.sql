-- Seals of the access log are append only, as the log itself is.

create trigger trust_audit_seal_append_only before update or delete or truncate on trust_audit_seal
    for each statement execute function trust_audit_is_append_only();
