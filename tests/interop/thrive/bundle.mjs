// Makes a script for a page of the transport: node bundle.mjs <file to write>

import { build } from "esbuild";

await build({
  entryPoints: ["entry.js"],
  bundle: true,
  format: "iife",
  globalName: "thrive",
  outfile: process.argv[2],
  logLevel: "warning",
});
