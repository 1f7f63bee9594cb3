#!/bin/sh
# Restores a snapshot with sh, zstd and python3 alone. FORMAT.md says what is read here.
[ $# = 3 ] || { echo "usage: recover.sh REPOSITORY SNAPSHOT-ID EMPTY-FOLDER" >&2; exit 2; }
exec python3 - "$@" <<'PYTHON'
import glob, hashlib, itertools, json, os, struct, subprocess, sys, tempfile
repository, wanted, target = sys.argv[1:]
found = glob.glob(f"{glob.escape(repository)}/snapshots/*-{glob.escape(wanted)}*.json")
if len(found) != 1: sys.exit(f"recover: {len(found)} snapshots have an id that begins with {wanted}")
if os.path.isdir(target) and os.listdir(target): sys.exit(f"recover: {target} is not empty")
raw = open(found[0], "rb").read()
if hashlib.sha256(raw).hexdigest() != found[0][-69:-5]: sys.exit("recover: the snapshot file is damaged")
snapshot, opened = json.loads(raw), {}
packs = {pack[0]: pack for pack in snapshot["packs"]}

def open_pack(number):  # its blocks, one after the other, in a temporary file; where each begins
    if number not in opened:
        if len(opened) > 99: opened.pop(next(iter(opened)))[0].close()
        _, name, size, toc_size, blocks = packs[number]
        path = f"{repository}/packs/{name[:2]}/{name}"
        stored = open(path, "rb").read()
        if hashlib.sha256(stored).hexdigest() != name: sys.exit(f"recover: pack {name} is damaged")
        frames, = struct.unpack_from("<I", stored, size - toc_size + 24)
        sizes = struct.unpack_from(f"<{blocks}I", stored, size - toc_size + 32 + 12 * frames)
        plain = tempfile.TemporaryFile()
        subprocess.run(["zstd", "-dcq", path], stdout=plain, check=True)  # it passes over the table of contents
        opened[number] = plain, list(itertools.accumulate(sizes, initial=0))
    return opened[number]

def pieces(runs, block_size):  # (hole, None) or (size, bytes)
    for count, number, index in zip(runs[::3], runs[1::3], runs[2::3]):
        if number == 0: yield count * block_size, None
        else:
            plain, starts = open_pack(number)
            plain.seek(starts[index])
            yield starts[index + count] - starts[index], plain.read(starts[index + count] - starts[index])

def block_sizes(entry):  # of rows, "b": 0, each block has its own
    if entry.get("b") != 0: return [entry.get("b", 1 << 20)] * -(-entry["s"] // entry.get("b", 1 << 20))
    runs = zip(entry["r"][::3], entry["r"][1::3], entry["r"][2::3])
    return [open_pack(number)[1][i + 1] - open_pack(number)[1][i] for count, number, index in runs for i in range(index, index + count)]

entries = []
tree = b"".join(data for _, data in pieces(sum(snapshot["facts"]["tree"], []), 0))
for line in map(json.loads, tree.decode().split("\n")[:-1]):
    if "from" in line: entries[-1]["r"] = entries[-1].get("r", []) + line["r"]
    else: entries.append(line)
os.makedirs(target, exist_ok=True)
for entry in entries:
    path = os.path.join(target, entry["p"].lstrip("/"))
    if ".." in entry["p"].split("/"): sys.exit(f"recover: {entry['p']} leads out of the folder")
    if entry["p"].startswith("/postgres/"): os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if entry["k"] == "d": os.makedirs(path, mode=0o700, exist_ok=True)
    elif entry["k"] == "l": continue  # last of all: nothing is to be written through one
    elif entry["k"] == "h": os.link(os.path.join(target, entry["to"]), path)
    elif "h" in entry:
        with open(path, "xb") as file:
            for size, data in pieces(entry["r"], entry.get("b", 1 << 20)):
                file.seek(size, 1) if data is None else file.write(data)
            file.truncate(entry["s"])
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for size in block_sizes(entry):
                block = file.read(size)
                if "db" not in entry and entry.get("b") != 0: digest.update(block)
                else: digest.update(hashlib.sha256(block).digest()[:16] if block.strip(b"\0") else bytes(16))
        if digest.hexdigest() != entry["h"]: sys.exit(f"recover: {entry['p']} is damaged")
for entry in entries:
    if entry["k"] == "l": os.symlink(entry["to"], os.path.join(target, entry["p"]))
for entry in reversed(entries):
    path = os.path.join(target, entry["p"].lstrip("/"))
    if not os.path.lexists(path): continue
    if entry["k"] != "l": os.chmod(path, entry["m"] & 0o777)
    os.utime(path, ns=(entry["t"] * 1_000_000,) * 2, follow_symlinks=False)
print(f"recovered {len(entries)} paths of {snapshot['time']} into {target}")
PYTHON
