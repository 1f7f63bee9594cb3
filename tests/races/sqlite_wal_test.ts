import { raceTest } from "./race.ts";
import { wal } from "./setups.ts";

raceTest(wal);
