/** Deterministic migrations for measurements: dbmate's layout, and the same as one script for the engine's own shell. */

type Kind = "table" | "column" | "index" | "rows" | "view" | "trigger";
const kinds: Kind[] = ["table", "column", "index", "rows", "view", "trigger"];

/**
 * Writes `count` files to `folder` and gives the script that does the same, one transaction a migration with a history row.
 * Blocks of six: a table, a column, an index, 100 rows (one statement in even blocks, 100 in odd ones), a view, a trigger.
 */
export function writeMigrations(folder: string, count: number, engine: "sqlite" | "postgres"): string {
  Deno.mkdirSync(folder, { recursive: true });
  let script = "create table bench_history (version text primary key, name text not null);\n";
  for (let i = 0; i < count; i++) {
    const { name, up, down } = migration(i, engine);
    const version = String(20240101000000 + i);
    const sql = (statements: string[]) => statements.map((statement) => `${statement};\n`).join("");
    Deno.writeTextFileSync(
      `${folder}/${version}_${name}.sql`,
      `-- migrate:up\n${sql(up)}\n-- migrate:down\n${sql(down)}`,
    );
    script += `begin;\n${sql(up)}insert into bench_history values ('${version}', '${name}');\ncommit;\n`;
  }
  return script;
}

function migration(i: number, engine: "sqlite" | "postgres"): { name: string; up: string[]; down: string[] } {
  const block = Math.floor(i / 6);
  const kind = kinds[i % 6]!;
  const table = `t${String(block).padStart(4, "0")}`;
  const before = `t${String(block - 1).padStart(4, "0")}`;
  const row = (k: number) =>
    `(${k}, 'name ${k}; it''s -- ${block}', ${k * 7 % 101}, '2024-01-${String(k % 28 + 1).padStart(2, "0")}')`;
  const insert = `insert into ${table} (id, name, amount, made_at) values `;
  const rows = Array.from({ length: 100 }, (_, k) => row(k + 1));
  const done: Record<Kind, { up: string[]; down: string[] }> = {
    table: {
      up: [
        `create table ${table} (id integer primary key, name text not null, amount integer not null default 0 check (amount >= 0), made_at text` +
        `${block > 0 ? `, parent integer references ${before} (id)` : ""})`,
      ],
      down: [`drop table ${table}`],
    },
    column: {
      up: [`alter table ${table} add column note text not null default 'a;b'`],
      down: [`alter table ${table} drop column note`],
    },
    index: {
      up: [`create index ${table}_name_idx on ${table} (name, amount)`],
      down: [`drop index ${table}_name_idx`],
    },
    rows: {
      up: block % 2 === 0 ? [insert + rows.join(",\n  ")] : rows.map((one) => insert + one),
      down: [`delete from ${table}`],
    },
    view: {
      up: [`create view ${table}_view as select id, name, amount * 2 as twice from ${table} where amount > 10`],
      down: [`drop view ${table}_view`],
    },
    trigger: trigger(table, engine),
  };
  return { name: `${kind}_${table}`, ...done[kind] };
}

function trigger(table: string, engine: "sqlite" | "postgres"): { up: string[]; down: string[] } {
  if (engine === "sqlite") {
    return {
      up: [
        `create trigger ${table}_touch after update of name on ${table} begin\n  update ${table} set note = 'x;y' where id = new.id;\n` +
        `  update ${table} set amount = amount + 1 where id = new.id;\nend`,
      ],
      down: [`drop trigger ${table}_touch`],
    };
  }
  return {
    up: [
      `create function ${table}_touch() returns trigger language plpgsql as $$\nbegin\n  new.note := 'x;y';\n  return new;\nend\n$$`,
      `create trigger ${table}_touch before update of name on ${table} for each row execute function ${table}_touch()`,
    ],
    down: [`drop trigger ${table}_touch on ${table}`, `drop function ${table}_touch()`],
  };
}
