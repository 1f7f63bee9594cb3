import { type Found, type Id, idOf, type Part } from "./found.ts";
import { quoteText } from "./options.ts";
import type { Reading } from "./reading.ts";
import { usualPublicComment } from "./schemas.ts";
import { commentSql } from "./tables.ts";

/** By object: the statements that comment and label it, and its columns. */
export interface Remarks {
  /** In the order of the columns. */
  of: (found: Found, separate: ReadonlySet<Id>, part?: Part) => string[];
}

/** Comments, the labels of security providers, and which extension an object is to be dropped with. */
export async function readRemarks({ query }: Reading): Promise<Remarks> {
  const [comments, labels, bonds] = await Promise.all([
    query(`select classoid::regclass::text as class, objoid as id, objsubid as number, description as text
      from pg_description where objoid >= 16384 or (classoid = 'pg_namespace'::regclass and objoid = 2200)
      order by 1, 2, 3`),
    query(`select classoid::regclass::text as class, objoid as id, objsubid as number, objtype as type, objname as name,
        quote_ident(provider) as provider, label
      from pg_seclabels where classoid in (select oid from pg_class) and objoid >= 16384
      order by 1, 2, 3, provider`),
    query(`select d.classid::regclass::text as class, d.objid as id, quote_ident(x.extname) as extension
      from pg_depend d join pg_extension x on x.oid = d.refobjid
      where d.refclassid = 'pg_extension'::regclass and d.deptype = 'x' order by 1, 2, 3`),
  ]);
  const byId = new Map<Id, { number: number; say: (on: string | undefined) => string | undefined }[]>();
  const add = (id: Id, number: number, say: (on: string | undefined) => string | undefined) =>
    byId.set(id, [...(byId.get(id) ?? []), { number, say }]);
  for (const { class: catalog, id, number, text } of comments) {
    add(idOf(String(catalog), id), Number(number), (on) => on && commentSql(on, text));
  }
  for (const { class: catalog, id, number, type, name, provider, label } of labels) {
    const sql = `SECURITY LABEL FOR ${provider} ON ${String(type).toUpperCase()} ${name} IS ${quoteText(label)};`;
    add(idOf(String(catalog), id), Number(number), () => sql);
  }
  for (const { class: catalog, id, extension } of bonds) {
    add(idOf(String(catalog), id), 0, (on) => on && `ALTER ${on} DEPENDS ON EXTENSION ${extension};`);
  }
  const remarksOn = (id: Id, on: string, columns?: Map<number, string>) =>
    (byId.get(id) ?? []).flatMap(({ number, say }) => {
      const column = columns?.get(number);
      const sql = say(number === 0 ? on : column === undefined ? undefined : `COLUMN ${column}`);
      return sql === undefined || sql === usualPublicComment ? [] : [sql];
    });
  return {
    of(found, separate, part) {
      if (part) return part.on === undefined ? [] : remarksOn(part.id, part.on);
      const on = found.on ?? `${found.kind.toUpperCase()} ${found.name}`;
      const inline = (found.parts ?? []).filter(({ id, on }) => on !== undefined && !separate.has(id));
      return [
        ...remarksOn(found.id, on, found.columns),
        // A composite type's columns, an index of a constraint.
        ...(found.also ?? []).flatMap((id) =>
          id.startsWith("pg_class:") ? remarksOn(id, found.indexOn ?? on, found.columns) : []
        ),
        ...inline.flatMap((one) => remarksOn(one.id, one.on!)),
        ...(found.within ?? []).flatMap((one) => remarksOn(one.id, one.on)),
      ];
    },
  };
}
