import { direct } from "../races/setups.ts";
import { killTest } from "./kill.ts";

killTest(direct, { ci: 25, long: 500 });
