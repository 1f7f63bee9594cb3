/** A first migration that both engines read, to be changed or replaced before it is applied. */
export const firstMigration = `-- The first migration of your app: change it as you like, then run \`amber migrate\`.
-- Once it is applied, leave it alone and write the next one: amber makemigrations add_something
-- This one runs on SQLite and on Postgres.

-- migrate:up
create table notes (
  id integer primary key,
  title text not null,
  body text not null default '',
  created_at timestamp not null default current_timestamp
);

create index notes_created_at on notes (created_at);

-- migrate:down
drop table notes;
`;

/** Every line is a comment: as a copy named .env it changes nothing until one is taken out of its comment. */
export const envExample = `# What amber reads. Copy this file to .env, and take the # away from what you need.
# The environment beats this file. Keep .env out of version control and out of images.
# \`amber status\` shows every value and where it comes from.

# The database: one of these three. Without any it is the SQLite file local.db, in production data/prod.db.
# DATABASE_URL=postgres://app:password@db.example.org:5432/app

# DB_HOST=db.example.org
# DB_PORT=5432
# DB_NAME=app
# DB_USER=app
# DB_PASSWORD=password
# DB_SSLMODE=verify-full

# DB_PATH=data/app.db

# Set it where the data are real: what removes or overwrites them then wants their name.
# AMBER_PRODUCTION=1

# The folder that snapshots cover, and where they go. Take another disk: data/backups lives as long as data/ does.
# AMBER_DATA=data
# AMBER_REPOSITORY=/mnt/backups/app
# AMBER_KEEP="24 hourly, 7 daily, 4 weekly"
# AMBER_EXCLUDE=cache/

# A health check that is told how each snapshot went.
# AMBER_PING_URL=https://checks.example.org/ping/my-app
`;

/** An image of one's own app with amber in it. */
export const dockerfile = `# Your app, and amber to migrate and keep its data.
#   docker build --tag my-app .
#   docker run --init --volume my-app-data:/app/data my-app
# Before that: put the amber binary for Linux beside this file, and your server where the comment below says.
FROM debian:bookworm-slim

# Nobody's account: neither amber nor the server needs root, and both work with --read-only.
RUN useradd --uid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin app \\
 && install --directory --owner=app --group=app --mode=0700 /app/data

COPY --chmod=755 amber /usr/local/bin/amber
# Your server:
# COPY --chmod=755 my-server /usr/local/bin/my-server

WORKDIR /app
COPY migrations migrations

# Makes data/prod.db the database, unless DATABASE_URL or DB_HOST names another one.
ENV AMBER_PRODUCTION=1
USER 10001:10001

# amber migrates, then starts the server and passes on the container's signals; --init above reaps orphans.
CMD ["amber", "run", "--", "my-server"]
`;
