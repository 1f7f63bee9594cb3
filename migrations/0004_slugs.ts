import type { MigrationDatabase } from "../mod.ts";

/** Gives every note an address made of its title. Killed half-way, it goes on where it was. */
export const atomic = false;

export async function up(db: MigrationDatabase): Promise<void> {
  await db.batch({ from: "notes", select: "id, title", where: "slug is null", size: 500 }, async (notes) => {
    for (const { id, title } of notes) {
      const words = String(title).toLowerCase().normalize("NFKD").match(/[a-z0-9]+/g) ?? [];
      await db.exec("update notes set slug = $1 where id = $2", [[...words, id].join("-"), Number(id)]);
    }
  });
}

export async function down(db: MigrationDatabase): Promise<void> {
  await db.exec("update notes set slug = null");
}
