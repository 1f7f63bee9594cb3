/** What paths of a Postgres database's contents begin with. In a file of its own: what prints is loaded at every start. */
export const postgresPrefix = "/postgres/";
