-- By which definitions a contained resource was indexed, as resource.indexed says it of the resources themselves: those
-- of its own type, which may change while its container's stay.
alter table resource_contained add column indexed integer not null default 0;
