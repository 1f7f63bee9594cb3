import { pooled } from "../races/setups.ts";
import { killTest } from "./kill.ts";

killTest(pooled, { ci: 6, long: 100 });
