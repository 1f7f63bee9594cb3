import { raceTest } from "./race.ts";
import { pooled } from "./setups.ts";

raceTest(pooled);
