// A dial: one clock of the wall. It touches what changed and nothing else: between two seconds, that is one text.

import { dateText, halfOfDay, offsetText, timeOfDay } from "./zones.js";

// Figure dashes: as wide as figures.
const NO_FIGURES = "\u2012\u2012";
const TENTHS = Array.from({ length: 10 }, (_, number) => `.${number}`);
const DIGITS = Array.from({ length: 10 }, (_, number) => String(number));
const HUNDREDTHS = Array.from({ length: 100 }, (_, number) => `.${String(number).padStart(2, "0")}`);

export class Dial {
  #options;
  #zone;
  #language;
  root;
  #time;
  #seconds;
  #tenths;
  #last;
  #from = Infinity; // of the second that is shown
  #fraction = -1; // the hundredths that are shown, of 100
  #local = null;
  #tenthsWorth = "";
  #lastWorth = "";

  // `language` is the reader's, for the date. `hundredths`: whether they are shown.
  constructor(root, zone, label, options, { language, hundredths }) {
    this.root = root;
    this.#zone = zone;
    this.#options = options;
    this.#language = language;
    this.#time = part(root, "time");
    this.#seconds = part(root, "seconds").firstElementChild.firstChild;
    this.#tenths = ownText(part(root, "hundredths"));
    this.#last = ownText(part(root, "last"));
    part(root, "seconds").dataset.widest = options.seconds ? "00:00:00" : "00:00";
    part(root, "fraction").hidden = !hundredths;
    part(root, "half").hidden = options.hours !== 12;
    part(root, "date").hidden = !options.date;
    part(root, "date").lang = language;
    part(root, "half").lang = language;
    part(root, "label").hidden = !label;
    set(part(root, "label"), label);
    set(part(root, "zone-name"), zone.name);
    this.hundredths = hundredths;
    this.paint(null);
  }

  // Shows `time`; null is a time that is not known. `zoneOffset`: what the server told of its zone, or null. Returns
  // whether a second turned.
  paint(time, zoneOffset = null) {
    if (time === null) {
      if (this.#from !== null) this.#blank();
      return false;
    }
    const turned = !(time >= this.#from && time < this.#from + 1000) || this.#from === null;
    if (turned) this.#newSecond(time, zoneOffset);
    if (this.hundredths && this.#local !== null) this.#paintFraction(time);
    return turned;
  }

  #paintFraction(time) {
    const fraction = Math.floor((time - this.#from) / 10);
    if (fraction === this.#fraction) return;
    this.#fraction = fraction;
    if (this.#lastWorth === "sharp") {
      this.#tenths.data = HUNDREDTHS[fraction];
      return;
    }
    const tenths = this.#tenthsWorth === "hidden" ? "" : TENTHS[Math.floor(fraction / 10)];
    if (this.#tenths.data !== tenths) this.#tenths.data = tenths;
    if (this.#lastWorth !== "hidden") this.#last.data = DIGITS[fraction % 10];
  }

  // What tenths and hundredths are worth (digits.js).
  judge(tenths, hundredths) {
    if (tenths === this.#tenthsWorth && hundredths === this.#lastWorth) return;
    this.#tenthsWorth = tenths;
    this.#lastWorth = hundredths;
    this.#time.dataset.tenths = tenths;
    this.#time.dataset.hundredths = hundredths;
    this.#last.data = "";
    this.#fraction = -1;
  }

  // Returns {time, date, zone} for the ear, or null while the time is not known.
  tell() {
    if (this.#local === null) return null;
    const half = this.#options.hours === 12 ? ` ${halfOfDay(this.#local, this.#language)}` : "";
    const time = timeOfDay(this.#local, { hours: this.#options.hours }).trim() + half;
    return { time, date: dateText(this.#local, this.#language), zone: part(this.root, "label").textContent || this.#zone.name };
  }

  // Returns the time of day at an instant, by this dial; or null where the offset of its zone is not known.
  timeOfDay(time, zoneOffset) {
    const offset = this.#zone.offset(time, zoneOffset);
    return offset === null ? null : timeOfDay(time + offset, { hours: this.#options.hours }).trim();
  }

  #newSecond(time, zoneOffset) {
    const second = Math.floor(time / 1000) * 1000;
    const offset = this.#zone.offset(second, zoneOffset);
    if (offset === null) this.#blank();
    this.#from = second;
    this.#fraction = -1;
    if (offset === null) return;
    this.#local = this.#from + offset;
    const text = timeOfDay(this.#local, this.#options);
    if (this.#seconds.data !== text) this.#seconds.data = text;
    set(part(this.root, "zone-offset"), offsetText(this.#zone.name, offset));
    if (this.#options.date) set(part(this.root, "date"), dateText(this.#local, this.#language));
    if (this.#options.hours === 12) set(part(this.root, "half"), halfOfDay(this.#local, this.#language));
  }

  #blank() {
    this.#from = this.#local = null;
    this.#fraction = -1;
    this.#seconds.data = (this.#options.seconds ? [NO_FIGURES, NO_FIGURES, NO_FIGURES] : [NO_FIGURES, NO_FIGURES]).join(":");
    this.#tenths.data = `.${NO_FIGURES}`;
    this.#last.data = "";
    set(part(this.root, "date"), "\u00a0");
  }
}

function part(root, name) {
  return root.querySelector(`.${name}`);
}

function ownText(element) {
  if (!element.firstChild) element.append("");
  return element.firstChild;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
