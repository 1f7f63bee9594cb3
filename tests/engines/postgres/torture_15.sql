-- From version 15 on.
create unlogged sequence app.unlogged_numbers;
create unlogged table app.unlogged_with (id int generated always as identity, n serial);
alter sequence app.unlogged_with_id_seq set logged;
create table app.no_nulls_twice (a int, b int, constraint once unique nulls not distinct (a), c int);
create unique index no_nulls_index on app.no_nulls_twice (b, c) nulls not distinct;
create view app.invoker with (security_invoker = true, security_barrier = false) as select id from app.account;
create table app.points_to (a int, b int, constraint some_null foreign key (a, b) references app.refers on delete set null (b));
create publication chosen for table app.account (id, email) where (id > 5);
create publication mixed for table app.account where (id > 5), tables in schema "Große Straße";
create publication of_schema for tables in schema empty_one;
alter table app.event_2025 rename constraint event_2025_pkey to "renamed key";
alter materialized view app.totals set access method heap_too;
