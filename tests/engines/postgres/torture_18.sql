-- From version 18 on.
create table app.computed (a int, b int generated always as (a * 2) virtual, c int generated always as (a + 1) stored);
create table app.named_nulls (a int constraint "a is there" not null, b int not null no inherit, c int);
alter table app.named_nulls add constraint c_later not null c not valid;
comment on constraint "a is there" on app.named_nulls is 'named';
create table app.nulls_child () inherits (app.named_nulls);
create table app.nulls_own (constraint own_not_null not null a) inherits (app.named_nulls);
create table app.not_enforced (a int, constraint hoped check (a > 0) not enforced, b int references app.hen not enforced);
create table app.over_time (id int, during daterange, constraint no_overlap primary key (id, during without overlaps));
create table app.over_time_ref (id int, during daterange, constraint covered foreign key (id, period during) references app.over_time (id, period during));
create publication computed_too for table app.computed with (publish_generated_columns = stored);
create domain app.named_domain as int constraint "must be" not null;
create collation app.fast (provider = builtin, locale = 'PG_UNICODE_FAST');
