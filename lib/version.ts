/** amber's version; the same as in deno.json, which a test checks. */
export const version = "0.1.0";
