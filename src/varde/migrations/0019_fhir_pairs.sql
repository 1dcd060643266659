-- A quantity in a pair of a composite (`code-value-quantity`) carries the system of the pair's code, so that one row
-- serves both code and system|code. Null for what is in no pair.
alter table index_quantity add column token_system bigint;
