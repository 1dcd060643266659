-- A quantity in a pair of a composite (`code-value-quantity`) carries the system of the pair's code, so that one row
-- serves both code and system|code. As in `system`, 0 stands for none.
alter table index_quantity add column token_system bigint not null default 0;
