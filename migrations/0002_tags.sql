-- migrate:up
create table tags (
  id integer primary key,
  name text not null unique
);

create table note_tags (
  note_id integer not null references notes (id) on delete cascade,
  tag_id integer not null references tags (id) on delete cascade,
  primary key (note_id, tag_id)
);

alter table notes add column slug text;

-- migrate:down
alter table notes drop column slug;
drop table note_tags;
drop table tags;
