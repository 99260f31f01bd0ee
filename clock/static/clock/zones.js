// Zones: what clocks and calendars show somewhere at an instant. All times are milliseconds since the Unix epoch.

import { attempt, report } from "./optional.js";
import { say } from "./words.js";

const FIELDS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

// Seconds for which the server must have told another offset than the browser's own database has, before it is believed.
// A frame that is a little late at the start of summer time does not make it so.
const BELIEVED_AFTER = 5;

export class Zone {
  #format = null;
  #contradicted = 0;

  // `told`: whether it is the server's own zone, whose offset the server tells; it may be one that the browser lacks.
  constructor(name, { told = false } = {}) {
    this.name = name;
    this.told = told;
    const zone = { timeZone: name, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23" };
    this.#format = this.#attempt(() => new Intl.DateTimeFormat("en-US", { ...FIELDS, ...zone }));
  }

  // Returns the zone's offset at `time`, to be added to it; asked once a second. `told` is what the server told last, or null.
  // Null: the browser fails at it, and nobody else tells it.
  offset(time, told = null) {
    const own = this.#format && this.#attempt(() => this.#ownOffset(time));
    if (!this.told) return own;
    if (told === null) return own ?? 0;
    this.#contradicted = own === told ? 0 : this.#contradicted + 1;
    return own === null || this.#contradicted > BELIEVED_AFTER ? told : own;
  }

  // What the server tells need not be reported.
  #attempt(act) {
    try {
      return act();
    } catch (error) {
      if (!this.told) report(say("tz"), error);
      return null;
    }
  }

  #ownOffset(time) {
    const second = Math.floor(time / 1000) * 1000;
    const parts = Object.fromEntries(this.#format.formatToParts(second).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) - second;
  }
}

// Returns "UTC+05:30", and for UTC itself nothing.
export function offsetText(name, milliseconds) {
  if (/^(Etc\/)?UTC$/.test(name)) return "";
  const minutes = Math.round(Math.abs(milliseconds) / 60_000);
  return `UTC${milliseconds < 0 ? "−" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

// Returns the time of day of `local`, a time with its zone's offset added. In the count to twelve, a figure space keeps the
// place of the missing figure.
export function timeOfDay(local, { hours = 24, seconds = true } = {}) {
  const day = ((Math.floor(local / 1000) % 86_400) + 86_400) % 86_400;
  const hour = Math.floor(day / 3600);
  const shown = hours === 12 ? String(hour % 12 || 12).padStart(2, "\u2007") : two(hour);
  const rest = Math.floor(day / 60) % 60;
  return `${shown}:${two(rest)}${seconds ? `:${two(day % 60)}` : ""}`;
}

// Returns the language for dates: the one that the address asks for, else the browser's; or that of the page, where
// Intl does not take it. In some browsers it is "C", as in POSIX.
export function languageOf(asked) {
  const own = document.documentElement.lang;
  try {
    const language = asked || navigator.language;
    return Intl.DateTimeFormat.supportedLocalesOf(language).length ? language : own;
  } catch {
    return own;
  }
}

// Returns the date of `local` in the reader's own way; or as 2026-11-22, where the browser fails at that.
export function dateText(local, language) {
  return attempt(say("date"), () => dates(language).format(local), new Date(local).toJSON()?.slice(0, 10) ?? "");
}

// Returns what is said for the half of the day, such as "PM".
export function halfOfDay(local, language) {
  const half = () => halves(language).formatToParts(local).find(({ type }) => type === "dayPeriod").value;
  return attempt(say("h"), half, new Date(local).getUTCHours() < 12 ? "AM" : "PM");
}

const dates = cached((language) => {
  const fields = { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };
  return new Intl.DateTimeFormat(language, fields);
});
const halves = cached((language) => new Intl.DateTimeFormat(language, { hour: "numeric", hourCycle: "h12", timeZone: "UTC" }));

function cached(make) {
  const made = new Map();
  return (key) => made.get(key) ?? made.set(key, make(key)).get(key);
}

function two(number) {
  return String(number).padStart(2, "0");
}
