-- Accounts and their notes. Both engines read this file.
-- migrate:up
create table accounts (
  id integer primary key,
  email text not null unique,
  name text not null
);

create table notes (
  id integer primary key,
  account_id integer not null references accounts (id) on delete cascade,
  title text not null,
  body text not null default '',
  created_at timestamp not null default current_timestamp
);

create index notes_account on notes (account_id, created_at);

-- migrate:down
drop table notes;
drop table accounts;
