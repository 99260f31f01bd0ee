// Zones: what clocks and calendars show somewhere at an instant. All times are milliseconds since the Unix epoch.

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
    try {
      const zone = { timeZone: name, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23" };
      this.#format = new Intl.DateTimeFormat("en-US", { ...FIELDS, ...zone });
    } catch (error) {
      if (!told) throw error;
    }
  }

  // Returns the zone's offset at `time`, to be added to it; asked once a second. `told` is what the server told last, or null.
  offset(time, told = null) {
    const own = this.#format ? this.#ownOffset(time) : null;
    if (!this.told || told === null) return own ?? 0;
    this.#contradicted = own === told ? 0 : this.#contradicted + 1;
    return own === null || this.#contradicted > BELIEVED_AFTER ? told : own;
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

// Returns the date of `local` in the reader's own way.
export function dateText(local, language) {
  return dates(language).format(local);
}

// Returns what is said for the half of the day, such as "PM".
export function halfOfDay(local, language) {
  return halves(language)
    .formatToParts(local)
    .find(({ type }) => type === "dayPeriod").value;
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
