// The catalogue comes to life; without this it can be read all the same.

import { startFigures } from "/assets/figures.js";
import { all } from "/assets/page.js";
import { startSearching } from "/assets/searching.js";
import { startTrying } from "/assets/trying.js";

all(".needs-script").forEach((part) => (part.hidden = false));
startSearching();
startFigures();
startTrying();
