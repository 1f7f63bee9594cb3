import { formatBytes } from "../bytes.ts";
import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { countText, timeText } from "../output/snapshot_text.ts";
import { printable } from "../output/table.ts";
import { idOf } from "../repository/snapshot_file.ts";
import { type Exported, exportSnapshot } from "../stories/export.ts";
import { ExportFile } from "../stories/export_file.ts";
import { showSnapshot } from "../stories/snapshots.ts";
import { act, type AmberContext, type Setting } from "./context.ts";
import { reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";
import type { ExportFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: ExportFlags, wanted: string): Promise<void> {
  await act(this, flags, async (setting) => {
    if (flags.output !== undefined) return await toFile(setting, wanted, flags.output);
    if (flags.json) {
      throw new AmberError("USAGE", {
        message: "Cannot write a tar as JSON: export writes its bytes to stdout",
        hint: "Name a file, then the result comes as JSON: amber export latest -o data.tar --json",
      });
    }
    const { store, stop, report } = snapshotSetting(setting);
    await exportSnapshot({ store, wanted, stop, report, write: (bytes) => setting.world.stdoutBytes(bytes) });
    return { result: {}, lines: [] };
  });
}

async function toFile(setting: Setting, wanted: string, path: string): Promise<Outcome> {
  const { store, stop, report } = snapshotSetting(setting);
  reportUnfinishedRestore(setting);
  using file = ExportFile.create(path, (size) => crypto.getRandomValues(new Uint8Array(size)));
  const write = (bytes: Uint8Array) => {
    file.write(bytes);
    return true;
  };
  const done = await exportSnapshot({ store, wanted, stop, report, write });
  file.finish();
  return outcome(done, path);
}

function outcome({ snapshot, files, folders, links, bytes }: Exported, path: string): Outcome {
  const counts = [countText(files, "file"), countText(folders, "folder"), countText(links, "link")];
  return {
    result: { snapshot: showSnapshot(snapshot), output: path, files, folders, links, bytes },
    lines: [
      `Exported snapshot ${idOf(snapshot)} (${timeText(snapshot.time)}) to ${printable(path)}: ${counts.join(", ")}, ${
        formatBytes(bytes)
      }`,
    ],
  };
}
