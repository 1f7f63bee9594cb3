-- Full-text search, kept up to date by triggers.
-- migrate:up
create virtual table notes_search using fts5 (title, body, content = 'notes', content_rowid = 'id');

insert into notes_search (rowid, title, body) select id, title, body from notes;

create trigger notes_search_insert after insert on notes begin
  insert into notes_search (rowid, title, body) values (new.id, new.title, new.body);
end;

create trigger notes_search_delete after delete on notes begin
  insert into notes_search (notes_search, rowid, title, body) values ('delete', old.id, old.title, old.body);
end;

create trigger notes_search_update after update of title, body on notes begin
  insert into notes_search (notes_search, rowid, title, body) values ('delete', old.id, old.title, old.body);
  insert into notes_search (rowid, title, body) values (new.id, new.title, new.body);
end;

-- migrate:down
drop trigger notes_search_update;
drop trigger notes_search_delete;
drop trigger notes_search_insert;
drop table notes_search;
