import { join } from "node:path";
import type { Keeper } from "./keeper.ts";

export interface Certificate {
  caFile: string; // what a client trusts
  certFile: string;
  keyFile: string;
}

/** Makes an authority, and a certificate signed by it for localhost and 127.0.0.1, in the keeper's folder. Needs openssl. */
export async function makeCertificate(keeper: Keeper): Promise<Certificate> {
  const at = (name: string) => join(keeper.folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const openssl = (...args: string[]) => keeper.run("openssl", ...args);
  await Deno.writeTextFile(
    at("ca.conf"),
    "[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
  );
  await Deno.writeTextFile(at("server.conf"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  await openssl(
    "req",
    "-x509",
    ...key,
    "-config",
    at("ca.conf"),
    "-subj",
    "/CN=test authority",
    "-days",
    "2",
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.crt"),
  );
  await openssl(
    "req",
    "-new",
    ...key,
    "-config",
    at("ca.conf"),
    "-subj",
    "/CN=localhost",
    "-keyout",
    at("server.key"),
    "-out",
    at("server.csr"),
  );
  await openssl(
    "x509",
    "-req",
    "-in",
    at("server.csr"),
    "-CA",
    at("ca.crt"),
    "-CAkey",
    at("ca.key"),
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    at("server.conf"),
    "-out",
    at("server.crt"),
  );
  // PostgreSQL refuses a key that others can read.
  await keeper.run("chmod", "600", at("server.key"));
  return { caFile: at("ca.crt"), certFile: at("server.crt"), keyFile: at("server.key") };
}
