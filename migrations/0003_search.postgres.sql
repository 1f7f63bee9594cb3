-- Full-text search in a generated column. The index is built without stopping writers, so this file is not one
-- transaction: amber sees that by itself, and goes on where it was if it is killed.
-- migrate:up
alter table notes add column search tsvector
  generated always as (to_tsvector('simple', title || ' ' || body)) stored;

create index concurrently notes_search on notes using gin (search);

-- migrate:down
drop index concurrently notes_search;
alter table notes drop column search;
