import { raceTest } from "./race.ts";
import { rollback } from "./setups.ts";

raceTest(rollback);
