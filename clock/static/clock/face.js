// The face: a wall of dials, and below it a plain word on what the time is worth.

import { Dial } from "./dial.js";
import { worth } from "./digits.js";
import { attempt } from "./optional.js";
import { given, say } from "./words.js";
import { languageOf, Zone } from "./zones.js";

// Milliseconds that a state must have lasted before it is announced to those who listen: what passes is not worth a word.
const ANNOUNCED_AFTER = 1_500;

// Milliseconds between two texts of the bound, for those who read it.
const BOUND_EVERY = 1_000;

// How many em of their figures lie between two dials.
const BETWEEN = 0.5;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Face {
  #root = document.getElementById("clock");
  #wall = document.getElementById("wall");
  #word = document.getElementById("state-word");
  #bound = document.getElementById("bound");
  #notes = document.getElementById("notes");
  #spoken = document.getElementById("spoken");
  #pattern = this.#wall.firstElementChild.cloneNode(true);
  #dials = [];
  #options = null;
  #shown = { state: "connecting", since: null, reason: "", stepped: false, synchronised: undefined };
  #boundShown = undefined;
  #boundShownAt = -Infinity;
  #tenths = "sharp";
  #hundredths = "sharp";
  #announcing = 0;
  #announced = "";

  constructor() {
    calm.addEventListener("change", () => this.use(this.#options));
    addEventListener("resize", () => this.#lay());
  }

  // Builds the dials that the options ask for.
  use(options) {
    this.#options = options;
    const zones = options.tz.length ? options.tz.map((name) => new Zone(name)) : [new Zone(given.zone, { told: true })];
    const hundredths = options.seconds && !calm.matches && (options.hundredths ?? zones.length === 1);
    const language = languageOf(options.lang);
    this.#dials = zones.map((zone, number) => {
      const label = options.labels[number] ?? "";
      return new Dial(this.#pattern.cloneNode(true), zone, label, options, { language, hundredths });
    });
    this.#wall.replaceChildren(...this.#dials.map((dial) => dial.root));
    this.#lay();
    this.#root.dataset.mirror = options.mirror;
    this.#note();
    this.#judge(this.#boundShown ?? null);
  }

  // Shows a reading of the timekeeper: once per animation frame.
  paint(reading) {
    const { state, since, reason, stepped, synchronised } = reading;
    const shown = this.#shown;
    if (state !== shown.state || since !== shown.since || reason !== shown.reason || stepped !== shown.stepped) {
      this.#shown = { state, since, reason, stepped, synchronised };
      this.#say(reading);
    } else if (synchronised !== shown.synchronised) {
      shown.synchronised = synchronised;
      this.#note();
    }
    const time = reading.time === null ? null : reading.time + this.#options.offset;
    let turned = false;
    for (const dial of this.#dials) turned = dial.paint(time, reading.zoneOffset) || turned;
    if (!turned) this.#sayBound(reading); // in another frame than a new second, for each costs its layout
  }

  // Speaks the time, for those who cannot see it.
  speak() {
    const state = [this.#word, this.#bound, this.#notes].map((part) => part.textContent).filter(Boolean).join(", ");
    const told = this.#dials.map((dial) => dial.tell()).filter(Boolean);
    const texts = told.map((one) => say("spoken", { ...one, state: "" }).replace(/[.\s]+$/, ""));
    this.#utter([...texts, state].join(". "));
  }

  #say(reading) {
    const { state, since, reason } = reading;
    this.#root.dataset.state = state;
    this.#boundShownAt = -Infinity;
    const when = since === null ? null : this.#dials[0].timeOfDay(since, reading.zoneOffset);
    const names = { stopped: when === null ? "stopped" : "stopped_since", holdover: when === null ? "holdover_from_start" : "holdover" };
    set(this.#word, say(names[state] ?? state, { since: when, reason }));
    this.#note();
    clearTimeout(this.#announcing);
    this.#announcing = setTimeout(() => this.#announce(state), ANNOUNCED_AFTER);
  }

  #announce(state) {
    if (state === this.#announced) return;
    const first = this.#announced === "";
    this.#announced = state;
    if (!(first && state === "live")) this.#utter(this.#word.textContent);
  }

  // The same words again are heard again only if they come anew.
  #utter(text) {
    this.#spoken.textContent = "";
    setTimeout(() => (this.#spoken.textContent = text), 50);
  }

  #sayBound({ state, time, bound }) {
    const now = performance.now();
    const known = time !== null && bound !== null;
    if (now - this.#boundShownAt < BOUND_EVERY && known === (typeof this.#boundShown === "number")) return;
    this.#boundShownAt = now;
    this.#boundShown = known ? bound : null;
    this.#judge(this.#boundShown);
    const name = known ? (state === "holdover" ? "bound_growing" : "bound") : "bound_unknown";
    set(this.#bound, time === null ? "" : say(name, { bound: known ? boundText(bound) : "" }));
  }

  #judge(bound) {
    this.#tenths = worth(bound, 100, this.#tenths);
    this.#hundredths = worth(bound, 10, this.#hundredths);
    for (const dial of this.#dials) dial.judge(this.#tenths, this.#hundredths);
  }

  #note() {
    const notes = [];
    const { offset } = this.#options;
    const { stepped, synchronised } = this.#shown;
    if (stepped) notes.push(say("stepped"));
    if (synchronised === false) notes.push(say("unsynchronised"));
    if (synchronised === null) notes.push(say("synchronisation_unknown"));
    if (offset) notes.push(say(offset > 0 ? "ahead" : "behind", { offset: Math.abs(offset) }));
    set(this.#notes, notes.join(" · "));
  }

  // Lays the wall out: as many columns as make the figures largest. `ems` is how many em those of one dial need.
  #lay() {
    const { hours, seconds, size, date } = this.#options;
    const count = this.#dials.length;
    const ems = 3.3 + (seconds ? 1.85 : 0) + (this.#dials[0].hundredths ? 1.05 : 0) + (hours === 12 ? 1.1 : 0);
    const sizes = this.#dials.map((_, others) => {
      const columns = others + 1;
      const rows = Math.ceil(count / columns);
      const between = 0.05 * Math.min(innerWidth, innerHeight); // rows, and below them
      // Half of a wall is words.
      const room = count > 1 ? ((innerHeight - 230) / rows - between) / 2 : innerHeight * 0.62;
      return Math.min((innerWidth * 0.9) / (columns * ems + others * BETWEEN), Math.max(room, 16));
    });
    const largest = Math.max(...sizes);
    const style = this.#root.style;
    style.setProperty("--columns", String(sizes.indexOf(largest) + 1));
    style.setProperty("--figure-size", `${((largest * size) / 100).toFixed(2)}px`);
    this.#root.dataset.wall = count > 1;
    this.#root.dataset.date = date;
  }
}

// Rounded up, so that it is never said to be better than it is.
function boundText(bound) {
  const digits = bound < 10 ? 1 : 0;
  const rounded = Math.ceil(bound * 10 ** digits) / 10 ** digits;
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return attempt(say("lang"), () => rounded.toLocaleString(document.documentElement.lang, places), rounded.toFixed(digits));
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
