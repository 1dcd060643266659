-- Logical references alone, by what they name: a new Patient looks here for what named it before it came.
create index index_reference_logical on index_reference (target) where form = 'i';
