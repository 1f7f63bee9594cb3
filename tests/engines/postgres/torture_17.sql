-- From version 17 on.
create collation app.built_in (provider = builtin, locale = 'C.UTF-8');
create table app.identity_parts (id bigint generated always as identity, at date) partition by range (at);
create table app.identity_parts_1 partition of app.identity_parts for values from ('2026-01-01') to ('2027-01-01');
create table app.in_other (id int) partition by list (id) using heap_too;
grant maintain on app.account to torture_reader;
create event trigger at_login on login execute function app.on_event();
alter event trigger at_login disable;
