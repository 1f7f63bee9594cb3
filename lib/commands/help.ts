/** A command as `amber --help` lists it. */
interface Described {
  readonly brief: string;
}

type Routes = Readonly<Record<string, Described>>;

/**
 * What `amber --help` says: both halves of the tool on one screen.
 *
 * @param groups Headings with their commands, by the names as they are typed.
 */
export function helpText(groups: Readonly<Record<string, Routes>>): string {
  const names = Object.values(groups).flatMap((routes) => Object.keys(routes));
  const width = Math.max(...names.map((name) => name.length));
  return [
    "Keeps an app's data safe: migrates before the server starts, takes snapshots, restores them.",
    "",
    "  amber init                         # begin here, in your app's folder",
    "  amber migrate && exec my-server    # a container's start",
    "  amber snapshot                     # cron: data/ and the database, at one instant",
    "  amber restore latest               # the bad day",
    "",
    ...Object.entries(groups).flatMap(([heading, routes]) => [
      heading,
      ...Object.entries(routes).map(([name, { brief }]) => `  ${name.padEnd(width)}  ${brief}`),
      "",
    ]),
    "amber COMMAND --help shows a command's flags, amber --version the version. The database comes",
    "from DATABASE_URL, from DB_HOST and its kin, or from DB_PATH; without them it is local.db.",
    "",
  ].join("\n");
}
