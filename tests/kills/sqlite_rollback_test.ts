import { rollback } from "../races/setups.ts";
import { killTest } from "./kill.ts";

killTest(rollback, { ci: 13, long: 250 });
