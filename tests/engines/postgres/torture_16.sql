-- From version 16 on.
create collation app.ruled (provider = icu, locale = 'und', rules = '&V << w <<< W');
alter table app.account alter short set storage default;
create table app.stored_here (a text storage external, b bytea storage main);
create table app.default_storage (a jsonb);
