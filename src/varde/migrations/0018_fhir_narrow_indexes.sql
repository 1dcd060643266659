-- The narrow indexes find something about one patient. A Patient itself is found by what it says, never by whose it
-- is: its own rows, of which it has more than any other type, stand in the wide indexes only.

drop index index_token_patient;
drop index index_reference_patient;
drop index index_string_patient;
drop index index_date_patient;
drop index index_quantity_patient;
create index index_token_patient on index_token (patient, param, code, date desc, rid) include (system) where patient <> rid;
create index index_reference_patient on index_reference (patient, param, target, rid) where patient <> rid;
create index index_string_patient on index_string (patient, param, value, rid) where patient <> rid;
create index index_date_patient on index_date (patient, param, low, rid) include (high) where patient <> rid;
create index index_quantity_patient on index_quantity (patient, param, low, rid) where patient <> rid;
