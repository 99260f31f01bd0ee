/*
 * Time zones: local time, dates and offsets, as text. All times are milliseconds since the Unix epoch.
 */

import { attempt, report } from "./failures.js";
import { text } from "./page.js";

/** @type {Intl.DateTimeFormatOptions} */
const FIELDS = {
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
};

// The server's offset replaces that of the browser's database after this many seconds of disagreement. So a frame that is
// a little late at the start of summer time changes nothing.
const SERVER_WINS_AFTER_S = 5;

export class Zone {
  /** @type {Intl.DateTimeFormat | null} */
  #format = null;
  #disagreed_s = 0;

  /**
   * @param {string} name
   * @param {{ isServers?: boolean }} [options] - `isServers`: it is the server's own zone. Frames tell its offset, so the
   *   browser need not know it.
   */
  constructor(name, { isServers = false } = {}) {
    this.name = name;
    this.isServers = isServers;
    /** @type {Intl.DateTimeFormatOptions} */
    const zone = { timeZone: name, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23" };
    this.#format = this.#attempt(() => new Intl.DateTimeFormat("en-US", { ...FIELDS, ...zone }));
  }

  /**
   * Returns the zone's offset, to be added to `time`; or null if it is unknown. Call it once per second.
   *
   * @param {number} time
   * @param {number | null} [serverOffset] - The offset of the server's zone, as the last frame told it.
   */
  offset(time, serverOffset = null) {
    const format = this.#format;
    const own = format && this.#attempt(() => offsetOf(format, time));
    if (!this.isServers) return own;
    if (serverOffset === null) return own ?? 0;
    this.#disagreed_s = own === serverOffset ? 0 : this.#disagreed_s + 1;
    return own === null || this.#disagreed_s > SERVER_WINS_AFTER_S ? serverOffset : own;
  }

  /**
   * Returns null if `action` throws. A failure in the server's zone does no harm and is not reported.
   *
   * @template T
   * @param {() => T} action
   */
  #attempt(action) {
    try {
      return action();
    } catch (error) {
      if (!this.isServers) report(text("tz"), error);
      return null;
    }
  }
}

/**
 * Returns the offset of a format's zone.
 *
 * @param {Intl.DateTimeFormat} format - One with FIELDS.
 * @param {number} time
 */
function offsetOf(format, time) {
  const second = Math.floor(time / 1000) * 1000;
  const parts = Object.fromEntries(format.formatToParts(second).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) - second;
}

/**
 * Returns the name of a time zone as the browser spells it, or null if the browser does not know the zone.
 *
 * @param {string} name
 */
export function knownZone(name) {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) return null;
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    // Some browsers replace a new name by an old one. The page shows the name from the address, in the usual case.
    return timeZone.toLowerCase() === name.toLowerCase() ? timeZone : name;
  } catch {
    return null;
  }
}

/**
 * Returns an offset such as "UTC+05:30"; for UTC itself, "".
 *
 * @param {string} name
 * @param {number} offset
 */
export function offsetText(name, offset) {
  if (/^(Etc\/)?UTC$/.test(name)) return "";
  const minutes = Math.round(Math.abs(offset) / 60_000);
  return `UTC${offset < 0 ? "−" : "+"}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

/**
 * Returns the time of day. With 12 hours, a figure space replaces a missing first digit, so the width stays the same.
 *
 * @param {number} local - A time plus its zone's offset.
 * @param {{ hours?: number, seconds?: boolean }} [options]
 */
export function timeOfDay(local, { hours = 24, seconds = true } = {}) {
  const day = ((Math.floor(local / 1000) % 86_400) + 86_400) % 86_400;
  const hour = Math.floor(day / 3600);
  const shown = hours === 12 ? String(hour % 12 || 12).padStart(2, "\u2007") : twoDigits(hour);
  const minute = Math.floor(day / 60) % 60;
  return `${shown}:${twoDigits(minute)}${seconds ? `:${twoDigits(day % 60)}` : ""}`;
}

/**
 * Returns the language for dates: the one in the address, else the browser's; or the page's, if Intl rejects it. Some
 * browsers report "C", as in POSIX.
 *
 * @param {string} option
 */
export function languageOf(option) {
  const own = document.documentElement.lang;
  try {
    const language = option || navigator.language;
    return Intl.DateTimeFormat.supportedLocalesOf(language).length ? language : own;
  } catch {
    return own;
  }
}

/**
 * Returns the date in the language's format; or as 2026-11-22, if the browser fails.
 *
 * @param {number} local
 * @param {string} language
 */
export function dateText(local, language) {
  const fallback = new Date(local).toJSON()?.slice(0, 10) ?? "";
  return attempt(text("date"), () => dateFormat(language).format(local), fallback);
}

/**
 * Returns the half of the day, such as "PM".
 *
 * @param {number} local
 * @param {string} language
 */
export function dayPeriod(local, language) {
  const inLanguage = () => {
    const parts = hourFormat(language).formatToParts(local);
    return /** @type {Intl.DateTimeFormatPart} */ (parts.find(({ type }) => type === "dayPeriod")).value;
  };
  return attempt(text("h"), inLanguage, new Date(local).getUTCHours() < 12 ? "AM" : "PM");
}

const dateFormat = cached({ weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const hourFormat = cached({ hour: "numeric", hourCycle: "h12", timeZone: "UTC" });

/**
 * Returns a function that makes a format once per language.
 *
 * @param {Intl.DateTimeFormatOptions} fields
 */
function cached(fields) {
  /** @type {Map<string, Intl.DateTimeFormat>} */
  const formats = new Map();
  return (/** @type {string} */ language) => {
    const format = formats.get(language) ?? new Intl.DateTimeFormat(language, fields);
    formats.set(language, format);
    return format;
  };
}

/** @param {number} number */
function twoDigits(number) {
  return String(number).padStart(2, "0");
}
