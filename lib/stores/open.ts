import { AmberError } from "../errors.ts";
import { DirectoryStore } from "./directory.ts";
import type { ObjectStore } from "./store.ts";

/**
 * The store that a repository's address names: a folder's path. Nothing is read or made yet.
 *
 * @throws {AmberError} CONFIG_VALUE for several addresses and for every kind of URL. It shows only the scheme: what
 * follows may hold a key.
 */
export function openStore(address: string): ObjectStore {
  const reason = whyNoFolder(address);
  if (reason === undefined) return new DirectoryStore(address);
  throw new AmberError("CONFIG_VALUE", {
    message: `Cannot open the repository: ${reason}`,
    hint: "Set AMBER_REPOSITORY, or --repository, to the path of one folder.",
  });
}

/** The folder in which an address keeps its repository; undefined when that is no folder of this machine. */
export function repositoryFolder(address: string): string | undefined {
  return whyNoFolder(address) === undefined ? address : undefined;
}

function whyNoFolder(address: string): string | undefined {
  const scheme = /^\s*([a-z][a-z0-9+.-]*):\/\//i.exec(address)?.[1];
  if (address.trim() === "") return "its address is empty";
  if (address.includes("\0")) return "its address holds a NUL byte";
  if (address.includes(",")) {
    return "there are several addresses (commas), and this version keeps one, in a folder only";
  }
  if (scheme) return `its address is a URL ("${scheme}://"), and this version keeps repositories in folders only`;
  return undefined;
}
