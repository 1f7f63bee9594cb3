-- Everything that a schema can hold on every version from 13 on; corners are in
-- torture_corners.sql, what came later in torture_14.sql and so on.
-- The roles torture_owner, torture_reader and torture_chain are there already.

create schema app authorization torture_owner;
create schema "Große Straße";
create schema "we""ird; drop";
create schema empty_one;
comment on schema app is 'it''s \ the "app"';
grant usage on schema app to torture_reader, torture_chain;
grant usage, create on schema "Große Straße" to torture_reader with grant option;
comment on schema public is 'not the standard text';
grant all on schema public to torture_reader;

-- Extensions, and what stands on them.
create schema ext;
create extension hstore with schema ext;
create extension pg_trgm with schema ext;
create extension btree_gist with schema ext;
create table app.labels (id int, h ext.hstore default ''::ext.hstore, t text);
create index labels_trgm on app.labels using gin (t ext.gin_trgm_ops);

-- Types.
create type app.mood as enum ('sad', 'ok', 'so ''so''', 'ha\ppy');
alter type app.mood add value 'between' before 'ok';
comment on type app.mood is 'how one feels';
create type app.empty_enum as enum ();
create type "Große Straße"."Maß" as enum ('größer', '大');
create domain app.email as text collate "C" default 'a@b' not null check (value like '%@%') constraint no_space check (value !~ ' ');
comment on domain app.email is 'an address';
comment on constraint no_space on domain app.email is 'no spaces';
create domain app.old_email as text;
alter domain app.old_email add constraint later check (value <> '') not valid;
create domain app.positive as numeric(10, 2) check (value > 0);
create domain app.nested as app.positive check (value < 100);
create type app.pair as (a int, b text collate "C", "C" app.mood[]);
comment on column app.pair.b is 'the second';
create type app.empty_pair as ();
create type app.pairs as (p app.pair, q app.pair[]);
create type app.float_range as range (subtype = float8, subtype_diff = float8mi);
create type app.text_range as range (subtype = text, collation = "C", subtype_opclass = text_pattern_ops);
create type app.announced;
create type app.canonical_range;
create function app.canonical(app.canonical_range) returns app.canonical_range language internal immutable strict as 'int4range_canonical';
create type app.canonical_range as range (subtype = int4, canonical = app.canonical);
create type app.weight;
create function app.weight_in(cstring) returns app.weight language internal immutable strict as 'int4in';
create function app.weight_out(app.weight) returns cstring language internal immutable strict as 'int4out';
create function app.weight_receive(internal) returns app.weight language internal immutable strict as 'int4recv';
create function app.weight_send(app.weight) returns bytea language internal immutable strict as 'int4send';
create type app.weight (input = app.weight_in, output = app.weight_out, receive = app.weight_receive, send = app.weight_send,
  like = int4, category = 'N', default = '7', delimiter = ';');
comment on type app.weight is 'grams';
grant usage on type app.mood to torture_reader;
revoke usage on type app.pair from public;
alter type app.pair owner to torture_owner;
alter domain app.positive owner to torture_owner;

-- Collations and conversions.
create collation app.german (provider = icu, locale = 'de');
create collation app.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create collation app.c_like (provider = libc, lc_collate = 'C', lc_ctype = 'C');
comment on collation app.german is 'deutsch';
create conversion app.latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create default conversion app.latin_default for 'LATIN2' to 'UTF8' from iso8859_to_utf8;
comment on conversion app.latin is 'old';

-- Sequences.
create sequence app.plain;
create sequence app.odd as smallint start 5 increment -2 minvalue -100 maxvalue 50 cache 7 cycle;
create sequence "Große Straße"."Zähler" start 100;
comment on sequence app.odd is 'downwards';
select setval('app.plain', 42);
grant usage on sequence app.plain to torture_reader;
alter sequence app.odd owner to torture_owner;

-- Tables.
create table app.account (
  id bigint generated always as identity primary key,
  email app.email,
  mood app.mood default 'ok',
  number serial,
  moods app.mood[] default '{ok,sad}',
  p app.pair,
  amount numeric(12, 4) default 0.5 not null,
  at timestamptz(3) default now(),
  during interval day to second(2) default '1 day 02:00',
  bits bit(3), bits_more bit varying(5), short varchar(10), fixed char(4), dbl double precision default 1.1,
  big app.positive,
  dropped int,
  name text collate app.german,
  upper_name text generated always as (upper(name)) stored,
  constraint "name is there" check (name <> '' or name is null),
  check (amount >= 0) no inherit
);
alter table app.account drop column dropped;
alter table app.account alter email set statistics 500, alter name set storage external, alter moods set (n_distinct = -0.5);
alter table app.account alter id set (n_distinct = 100, n_distinct_inherited = 50);
comment on table app.account is e'two\nlines; and a \\ ''quote''';
comment on column app.account.email is 'where to write';
comment on constraint "name is there" on app.account is 'why';
alter table app.account owner to torture_owner;
grant select, insert on app.account to torture_reader;
grant update (email, name), select (email) on app.account to torture_reader with grant option;
grant select on app.account to public;

create table app.note (
  id int generated by default as identity (sequence name app.note_numbers start 10 increment 5 minvalue 5 cache 3 cycle) primary key,
  account bigint not null,
  parent int,
  body text,
  slug text,
  during app.float_range,
  room int,
  constraint note_slug unique (slug) deferrable initially deferred,
  constraint note_room exclude using gist (room with =, during with &&) where (room is not null) deferrable
) with (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.3);
alter table app.note add constraint note_account foreign key (account) references app.account on delete cascade on update set null;
alter table app.note add constraint note_parent foreign key (parent) references app.note deferrable initially deferred not valid;
alter table app.note add constraint later check (length(body) < 1000) not valid;
comment on constraint note_account on app.note is 'belongs to';
comment on constraint later on app.note is 'some day';
comment on constraint note_slug on app.note is 'short';
comment on sequence app.note_numbers is 'of notes';
comment on index app.note_slug is 'the index of it';
alter sequence app.plain owned by app.note.room;
alter table app.note alter room set default nextval('app.plain');

-- Circles of foreign keys.
create table app.hen (id int primary key, egg int);
create table app.egg (id int primary key, hen int references app.hen);
alter table app.hen add foreign key (egg) references app.egg deferrable;

create unlogged table app.scratch (id int, data jsonb) with (fillfactor = 50);
create table app.nothing ();
create table "Große Straße"."Order" ("Id" int primary key, "select" text default 'a''b\c', "größe" int, "with ""quotes""" text, "user" name);
comment on column "Große Straße"."Order"."with ""quotes""" is '日本語';
create table "we""ird; drop"."ta""ble" ("co'l" int default 3);
create table public.plain_one (id serial primary key, x text default 'x'::text, b bytea default '\xdeadbeef'::bytea);

-- Typed, and inheritance.
create type app.shape as (name text, sides int, area numeric);
create table app.shapes of app.shape (name with options not null, sides with options default 3, primary key (name), check (sides > 2));
create table app.base (id int not null, kind text default 'base', note text, constraint positive check (id > 0), constraint only_here check (id < 1000) no inherit);
create table app.child (extra int default 1, constraint own check (extra > 0)) inherits (app.base);
create table app.merged (id int not null, kind text default 'merged', more text) inherits (app.base);
create table app.other_base (z int, note text);
create table app.two_parents (own_column text) inherits (app.base, app.other_base);
create table app.grandchild () inherits (app.child);
alter table only app.child alter kind set default 'child';
alter table app.grandchild alter kind drop default;
alter table app.child alter note set not null;
create table app.joined (id int not null, kind text, note text, constraint positive check (id > 0));
alter table app.joined inherit app.base;

-- Children whose columns INHERITS alone would bring in another order.
create table app.grown (a int not null, note text default 'n' collate "C", constraint a_check check (a > 0));
create table app.grown_child (b int default 5, constraint b_check check (b > 0)) inherits (app.grown);
alter table app.grown add c int not null default 3, add d text;
alter table app.grown_child add e int generated by default as identity;
alter table app.grown add constraint c_check check (c > 0);
alter table app.grown_child alter c set default 4, alter note set not null;
create table app.grown_grandchild (z int) inherits (app.grown_child);
alter table app.grown_child add y text;
create table app.joined_late (note text collate "C", d text, own_column int, c int not null, a int not null, constraint a_check check (a > 0), constraint c_check check (c > 0));
alter table app.joined_late inherit app.grown;
create table app.second_parent (own_column int, late text);
alter table app.joined_late add late text;
alter table app.joined_late inherit app.second_parent;
comment on constraint b_check on app.grown_child is 'own';
comment on column app.grown_child.c is 'late';

-- Partitions.
create table app.event (id bigint not null, at date not null, kind text default 'x', payload jsonb, constraint kind_known check (kind <> 'no'))
  partition by range (at);
create table app.event_2025 partition of app.event for values from ('2025-01-01') to ('2026-01-01');
create table app.event_2026 (payload jsonb, kind text default 'y', at date not null, id bigint not null, dropped int, constraint kind_known check (kind <> 'no'));
alter table app.event_2026 drop column dropped;
alter table app.event attach partition app.event_2026 for values from ('2026-01-01') to (maxvalue);
create table app.event_rest partition of app.event default;
create table app.event_sub partition of app.event for values from ('2024-01-01') to ('2025-01-01') partition by list (kind);
create table app.event_sub_a partition of app.event_sub for values in ('a', 'b''c', null);
create table app.event_sub_rest partition of app.event_sub default;
alter table app.event add primary key (id, at, kind);
create index event_kind on app.event (kind) include (id) where kind <> 'x';
create index event_only on only app.event (payload);
create index event_2025_payload on app.event_2025 (payload);
alter index app.event_only attach partition app.event_2025_payload;
create index event_own on app.event_2025 using hash (kind);
alter table app.event_2025 alter kind set default 'z';
create table app.hashed (id int primary key, v text) partition by hash (id);
create table app.hashed_0 partition of app.hashed for values with (modulus 2, remainder 0);
create table app.hashed_1 partition of app.hashed for values with (modulus 2, remainder 1);
create table app.expressed (a text, b int) partition by range (lower(a) collate "C", (b + 1));
create table app.expressed_1 partition of app.expressed for values from ('a', minvalue) to ('m', 5);
create table app.event_ref (id bigint, at date, kind text, foreign key (id, at, kind) references app.event);
alter table app.event add constraint event_account foreign key (id) references app.account (id);
comment on table app.event is 'all of them';
comment on table app.event_2026 is 'this year';
comment on index app.event_kind is 'by kind';
comment on column app.event_2026.kind is 'of the year';

-- Indexes.
create index account_lower on app.account (lower(name) desc nulls last, email collate "POSIX" text_pattern_ops);
create unique index account_mood on app.account (mood) where amount > 10;
create index account_expr on app.account ((amount + 1), (id * 2)) with (fillfactor = 60);
alter index app.account_expr alter column 1 set statistics 300;
create index account_brin on app.account using brin (at) with (pages_per_range = 8);
create index "Index Ä" on app.account (at);
alter table app.account cluster on account_lower;
create table app.followed (id int not null, x int);
create unique index followed_id on app.followed (id);
alter table app.followed replica identity using index followed_id;
create table app.followed_full (id int);
alter table app.followed_full replica identity full;
create table app.followed_none (id int);
alter table app.followed_none replica identity nothing;
create table app.key_settings (id int, x int, constraint key_settings_pk primary key (id) include (x) with (fillfactor = 55));
alter table app.key_settings cluster on key_settings_pk;
create table app.key_identity (id int not null, constraint key_identity_u unique (id));
alter table app.key_identity replica identity using index key_identity_u;

-- Extended statistics.
create statistics app.account_stats (dependencies, mcv) on mood, amount from app.account;
create statistics app.account_all on at, name from app.account;
alter statistics app.account_stats set statistics 200;
comment on statistics app.account_stats is 'both';

-- Views.
create view app.accounts as select id, email, mood from app.account where amount > 0;
create view app.accounts_2 with (security_barrier) as select * from app.accounts where mood = 'ok';
create view app.accounts_3 as select * from app.accounts_2 with cascaded check option;
create view app.accounts_4 as select id, email from app.accounts with local check option;
alter view app.accounts alter mood set default 'sad';
create recursive view app.numbers (n) as select 1 union all select n + 1 from numbers where n < 5;
create view "Große Straße"."Sicht" as select "Id" as "Ä", "select" from "Große Straße"."Order";
create view app.no_columns as select;
comment on view app.accounts is 'rich';
comment on column app.accounts.id is 'number';
grant select on app.accounts to torture_reader;
-- GROUP BY a primary key: the view needs the key.
create view app.by_key as select a.id, a.email, a.mood, count(*) as n from app.account a join app.note on account = a.id group by a.id;
-- A table that needs such a view.
create table app.of_by_key (id int, v app.by_key);
-- A view whose rule needs a function that needs the view.
create view app.circle as select 1 as a, 'x'::text collate "C" as b;
create function app.circle_of(app.circle) returns int language sql immutable as 'select $1.a';
create or replace view app.circle as select 1 as a, 'x'::text collate "C" as b where (select app.circle_of(row(1, 'x')::app.circle)) = 1;
comment on view app.circle is 'round';
create view app.ring_1 as select 1 as a;
create view app.ring_2 as select a from app.ring_1;
create function app.ring(app.ring_2) returns int language sql as 'select 1';
create or replace view app.ring_1 as select app.ring(null) as a;

-- Materialized views.
create materialized view app.totals as select mood, sum(amount) as total from app.account group by mood;
create unique index totals_mood on app.totals (mood);
create materialized view app.totals_2 with (fillfactor = 80) as select count(*) as n from app.totals;
create materialized view app.never as select * from app.totals_2 with no data;
create materialized view app.by_key_kept as select id, name from app.account group by id;
alter materialized view app.totals alter mood set statistics 50;
alter materialized view app.totals owner to torture_owner;
comment on materialized view app.totals is 'sums';

-- Functions.
create function app.add(a int, b int default 2, out c int, variadic d int[] default '{}') language sql immutable strict parallel safe cost 5 as 'select $1 + $2';
create function app.add(a text, b text) returns text language plpgsql security definer set search_path = app, public set work_mem = '5MB' leakproof as $body$
begin
  -- a comment with $$ and 'quotes' and \ backslash
  return a || b;
end $body$;
create function app.rows(n int) returns table (x int, "Y" text) language sql rows 5 stable as 'select 1, ''a''';
create function app.set_of() returns setof app.account language sql as 'select * from app.account';
create function "Große Straße"."Fünf"("Ä" int) returns int language sql as 'select 5';
create procedure app.act(inout x int, y text default 'a''b') language plpgsql as 'begin x := 1; commit; end';
create function app.touch() returns trigger language plpgsql as 'begin return new; end';
create function app.on_event() returns event_trigger language plpgsql as 'begin end';
create function app.row_number_like() returns bigint language internal window as 'window_row_number';
comment on function app.add(int, int, int[]) is 'adds';
comment on procedure app.act(int, text) is 'acts';
revoke execute on function app.add(text, text) from public;
grant execute on function app.add(text, text) to torture_reader;
grant execute on procedure app.act(int, text) to torture_reader;
alter function app.rows(int) owner to torture_owner;
-- A default, a CHECK and a domain that call a function which needs the table or the domain.
create table app.self (id int);
create function app.self_next(app.self) returns int language sql as 'select 1';
create function app.self_ok(app.self) returns boolean language sql immutable as 'select true';
alter table app.self alter id set default app.self_next(null);
alter table app.self add constraint self_ok check (app.self_ok(self));
comment on constraint self_ok on app.self is 'round';
create domain app.self_domain as int;
create function app.self_domain_ok(app.self_domain) returns boolean language sql immutable as 'select true';
alter domain app.self_domain add constraint ok check (app.self_domain_ok(value));

-- Aggregates.
create aggregate app.sum_of(int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl, parallel = safe);
create aggregate app.any_count(*) (sfunc = int8inc, stype = bigint, initcond = '0', finalfunc_modify = shareable);
create aggregate app.moving(float8) (sfunc = float8pl, stype = float8, sspace = 100, msfunc = float8pl, minvfunc = float8mi, mstype = float8, minitcond = '0', initcond = '0', mfinalfunc = float8abs, mfinalfunc_modify = read_only);
create function app.last_of(internal, float8) returns float8 language internal immutable as 'percentile_cont_float8_final';
create aggregate app.middle(float8 order by float8) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_cont_float8_final);
create aggregate app.hypo(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi, stype = internal, finalfunc = rank_final, finalfunc_extra, hypothetical);
create aggregate app.greatest_of(int) (sfunc = int4larger, stype = int, sortop = operator(pg_catalog.>));
comment on aggregate app.sum_of(int) is 'sums';
comment on aggregate app.any_count(*) is 'counts';
grant execute on function app.sum_of(int) to torture_reader;
alter aggregate app.middle(float8 order by float8) owner to torture_owner;

-- Operators and their families.
create function app.mood_less(app.mood, app.mood) returns boolean language sql immutable as 'select $1 < $2';
create operator app.<<< (function = app.mood_less, leftarg = app.mood, rightarg = app.mood, commutator = operator(app.>>>), negator = operator(app.!<<<), restrict = scalarltsel, join = scalarltjoinsel);
create operator app.>>> (function = app.mood_less, leftarg = app.mood, rightarg = app.mood, commutator = operator(app.<<<));
create operator app.!<<< (function = app.mood_less, leftarg = app.mood, rightarg = app.mood, negator = operator(app.<<<));
create function app.not_mood(app.mood) returns boolean language sql immutable as 'select false';
create operator app.!!! (function = app.not_mood, rightarg = app.mood);
create operator app.=== (function = int4eq, leftarg = int, rightarg = int, commutator = operator(app.===), hashes, merges);
comment on operator app.<<< (app.mood, app.mood) is 'sadder';
comment on operator app.!!! (none, app.mood) is 'not';
alter operator app.=== (int, int) owner to torture_owner;
create operator family app.numbers_family using btree;
create operator class app.int_backwards for type int using btree family app.numbers_family as
  operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 btint4cmp(int, int);
create operator class app.own_family for type int using hash as operator 1 =, function 1 hashint4(int);
alter operator family app.numbers_family using btree add operator 1 > (int, bigint), function 1 (int, bigint) btint48cmp(int, bigint);
create operator class app.array_ops for type app.mood[] using gin as operator 1 &&(anyarray, anyarray), function 2 ginarrayextract(anyarray, internal, internal), function 3 ginqueryarrayextract(anyarray, internal, smallint, internal, internal, internal, internal), function 4 ginarrayconsistent(internal, smallint, anyarray, integer, internal, internal, internal, internal), storage app.mood;
create operator class app.near for type point using gist as operator 15 <->(point, point) for order by float_ops, function 1 gist_point_consistent(internal, point, smallint, oid, internal), function 2 gist_box_union(internal, internal), function 3 gist_point_compress(internal), function 5 gist_box_penalty(internal, internal, internal), function 6 gist_box_picksplit(internal, internal), function 7 gist_box_same(box, box, internal), storage box;
comment on operator class app.int_backwards using btree is 'down';
comment on operator family app.numbers_family using btree is 'all';
create index note_backwards on app.note (account int8_ops, room app.int_backwards);
alter operator family app.numbers_family using btree owner to torture_owner;

-- Casts, transforms, languages.
create function app.to_mood(int) returns app.mood language sql immutable as 'select ''ok''::app.mood';
create cast (int as app.mood) with function app.to_mood(int) as assignment;
create cast (app.weight as int) without function;
create cast (text as app.pair) with inout as implicit;
comment on cast (int as app.mood) is 'any';
create trusted language plother handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;
comment on language plother is 'the same';
grant usage on language plother to torture_reader;
create function app.from_sql(internal) returns internal language internal immutable as 'boolrecv';
create transform for app.weight language plpgsql (from sql with function app.from_sql(internal));
comment on transform for app.weight language plpgsql is 'moves';
create access method heap_too type table handler heap_tableam_handler;
comment on access method heap_too is 'the same';
create table app.in_heap_too (id int) using heap_too;

-- Text search.
create text search parser app.words (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype, headline = prsd_headline);
create text search template app.simple_like (init = dsimple_init, lexize = dsimple_lexize);
create text search dictionary app.stems (template = snowball, language = english, stopwords = english);
create text search dictionary app.simple_dict (template = app.simple_like, accept = false);
create text search configuration app.search (parser = app.words);
alter text search configuration app.search add mapping for asciiword, word with app.stems, simple;
alter text search configuration app.search add mapping for email with app.simple_dict;
create text search configuration app.copied (copy = pg_catalog.german);
comment on text search configuration app.search is 'finds';
comment on text search dictionary app.stems is 'stems';
comment on text search parser app.words is 'words';
comment on text search template app.simple_like is 'simple';
alter text search dictionary app.stems owner to torture_owner;
create index note_search on app.note using gin (to_tsvector('app.search', body));

-- Triggers and rules.
create trigger touched before insert or update of body, slug on app.note for each row when (new.body is not null) execute function app.touch();
create trigger "Zweiter" after insert on app.note referencing new table as fresh for each statement execute function app.touch('a''b', 'c\d');
create constraint trigger checked after update on app.note from app.account deferrable initially deferred for each row execute function app.touch();
create trigger instead instead of insert on app.accounts for each row execute function app.touch();
create trigger of_events before update on app.event for each row execute function app.touch();
create trigger truncated after truncate on app.note execute function app.touch();
alter table app.note disable trigger touched;
alter table app.note enable always trigger "Zweiter";
alter table app.note enable replica trigger checked;
alter table app.event_2025 disable trigger of_events;
comment on trigger touched on app.note is 'touches';
create rule nothing_to_see as on delete to app.note do instead nothing;
create rule noted as on insert to app.account do also (insert into app.hen values (1); notify noted);
create rule on_view as on update to app.accounts do instead update app.account set email = new.email where id = old.id;
alter table app.note disable rule nothing_to_see;
comment on rule noted on app.account is 'notes';

-- Row-level security.
alter table app.note enable row level security, force row level security;
alter table app.hen enable row level security;
create policy everybody on app.note using (true);
create policy mine on app.note as restrictive for update to torture_reader, torture_owner using (account = 1) with check (room > 0);
create policy "Neue" on app.note for insert with check (body <> 'x''y');
comment on policy mine on app.note is 'own';

-- Foreign data.
create foreign data wrapper bare options (debug 'true');
create foreign data wrapper checked validator postgresql_fdw_validator;
comment on foreign data wrapper bare is 'nothing behind it';
create server far type 'kind' version '1.0' foreign data wrapper bare options (host 'a''b', port '5');
create server near_one foreign data wrapper bare;
comment on server far is 'away';
grant usage on foreign data wrapper bare to torture_reader;
grant usage on foreign server far to torture_reader;
alter server near_one owner to torture_owner;
create user mapping for public server far options (user 'anybody');
create user mapping for torture_owner server far;
create foreign table app.remote (id int options (column_name 'ID') not null, name text default 'x' collate "C", constraint remote_check check (id > 0)) server far options (table_name 'Remote', "Schema" 's');
create table app.with_far (id int, kind text) partition by list (kind);
create foreign table app.with_far_1 partition of app.with_far for values in ('a') server far;
comment on foreign table app.remote is 'far away';
grant select on app.remote to torture_reader;

-- Publications.
create publication everything for all tables with (publish = 'insert, truncate');
create publication a_few for table app.account, only app.base with (publish_via_partition_root = true);
create publication nobody;
comment on publication a_few is 'two';
alter publication nobody owner to torture_owner;

-- Rights that others passed on, and rights for what will come.
grant select on app.hen to torture_chain with grant option;
set session authorization torture_chain;
grant select on app.hen to torture_reader;
reset session authorization;
revoke all on app.egg from postgres;
grant all on app.self to torture_reader;
alter default privileges in schema app grant select on tables to torture_reader;
alter default privileges for role torture_owner revoke execute on functions from public;
alter default privileges for role torture_owner in schema app grant usage, select on sequences to torture_reader with grant option;
alter default privileges grant usage on types to torture_reader;
alter default privileges grant all on schemas to torture_reader;

-- What is to be dropped with an extension; what is filled in an order; zones of time.
create materialized view app.z_first as select 1 as n;
create view app.z_view as select * from app.z_first;
create materialized view app.a_last as select n from app.z_view;
create function app.with_hstore() returns int language sql as 'select 1';
alter function app.with_hstore() depends on extension hstore;
alter index app.labels_trgm depends on extension pg_trgm;
alter materialized view app.z_first depends on extension hstore;
alter trigger touched on app.note depends on extension hstore;
create table app.zoned (at timestamptz default '2026-01-01 00:00:00+05') partition by range (at);
create table app.zoned_1 partition of app.zoned for values from ('2026-01-01 00:00:00+05') to ('2026-02-01 00:00:00+05');

-- Rights on what is the server's or an extension's.
grant execute on function pg_catalog.pg_ls_dir(text) to torture_reader;
revoke select on pg_catalog.pg_statistic_ext_data from public;
revoke select on pg_catalog.pg_tables from public;
grant select on pg_catalog.pg_tables to torture_reader, torture_owner with grant option;
grant execute on function ext.akeys(ext.hstore) to torture_reader;
revoke execute on function ext.akeys(ext.hstore) from public;
grant usage on type ext.hstore to torture_reader;
revoke usage on language sql from public;
grant create on schema pg_catalog to torture_owner;

create event trigger watched on ddl_command_end when tag in ('CREATE TABLE', 'DROP TABLE') execute function app.on_event();
create event trigger sleeping on sql_drop execute function app.on_event();
alter event trigger sleeping disable;
comment on event trigger watched is 'watches';
