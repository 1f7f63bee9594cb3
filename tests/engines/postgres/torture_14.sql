-- From version 14 on.
create type app.named_range as range (subtype = int8, multirange_type_name = app.named_many);
create table app.many (m app.named_many, f int4multirange, s text compression pglz);
create function app.atomic(n int default 1) returns bigint language sql begin atomic
  select count(*) + n from app.account;
end;
create procedure app.atomic_act(out x int) language sql begin atomic
  insert into app.hen values (5);
  select 1;
end;
-- It needs a primary key.
create function app.atomic_by_key() returns setof text language sql begin atomic
  select a.name from app.account a group by a.id;
end;
create view app.over_atomic as select app.atomic(2) as n;
-- A function and a view that need each other.
create view app.atomic_ring as select 1 as a;
create function app.atomic_of_ring() returns int language sql begin atomic select a from app.atomic_ring; end;
create or replace view app.atomic_ring as select coalesce(null, 1) as a where app.atomic_of_ring() is null or true;
create statistics app.expression_stats on lower(name), (amount * 2) from app.account;
create index account_gist on app.account using gist (at) include (id);
create table app.refers (a int, b int, primary key (a, b));
create function app.search_like(a int) returns int language sql immutable return a + 1;
create table app.subscripted (j jsonb default '{"a": 1}');
