-- Subscriptions: what is asked for, what happened, and what was told.
--
-- A change that a subscription asks for is written to subscription_change by the transaction that makes it, without
-- a number, so that writers never wait for one another. Numbers without holes are given afterwards, in the order of
-- `id`, by whoever holds the subscription's row: for one resource that is the order of its versions, since a later
-- writer waits for the resource's row until the former has committed.
--
-- subscription: rid of the Subscription. owner: the client that made it; granted: what trust must remember of its
--      rights. What it may see is decided anew at each delivery. sum(changed) tells a process whether what it holds in memory is still what is asked for.
-- sending: key of the message of the outbox that is on its way, one at a time; null for none.
-- armed: the writers that may have missed a new subscription are those that began before it (xid8).

create sequence subscription_changed as bigint;
create table subscription (
    rid bigint primary key,
    changed bigint not null default nextval('subscription_changed'),
    numbered bigint not null default 0,     -- number of the last event
    sent bigint not null default 0,         -- number of the last event that was taken
    messages bigint not null default 0,     -- how many messages were made, for their keys
    told timestamptz,                       -- when something was last taken
    ends timestamptz,
    stopped timestamptz,                    -- since when it is in error
    armed xid8,
    live boolean not null default false,    -- events are kept: requested, active or error
    status text not null check (status in ('requested', 'active', 'error', 'off')),
    id text collate "C" not null,
    owner text not null,
    granted text not null,
    sending text,
    wanted json not null                    -- the members of the Subscription that say what and where to
);

create table subscription_change (
    id bigint generated always as identity primary key,
    subscription bigint not null,
    resource bigint not null,               -- rid
    at timestamptz not null,
    version integer not null,
    type smallint not null,
    change "char" not null,                 -- 'c' created, 'u' updated, 'd' deleted
    resource_id text collate "C" not null
);
create index subscription_change_of on subscription_change (subscription, id);

create table subscription_event (
    subscription bigint not null,
    number bigint not null,
    resource bigint not null,
    at timestamptz not null,
    version integer not null,
    type smallint not null,
    change "char" not null,
    resource_id text collate "C" not null,
    primary key (subscription, number)
);
create index subscription_event_at on subscription_event (at);

-- Tokens that bind a websocket to subscriptions, each good once. digest: SHA-256 of the token.
create table subscription_binding (
    digest bytea primary key,
    expires timestamptz not null,
    owner text not null,
    ids text[] not null
);
