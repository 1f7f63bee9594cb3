import { wal } from "../races/setups.ts";
import { killTest } from "./kill.ts";

killTest(wal, { ci: 13, long: 250 });
