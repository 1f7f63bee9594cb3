import { raceTest } from "./race.ts";
import { direct } from "./setups.ts";

raceTest(direct);
