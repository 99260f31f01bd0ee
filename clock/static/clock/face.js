// The face: shows a tick, and a word on what it is worth. Only the parts that changed are touched.

const dates = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC", // the time told is read as UTC, so that it comes out as it was told
});

const WORDS = {
  connecting: "connecting",
  live: "live",
  reconnecting: "reconnecting: this is the last time that was told",
  "no ticks": "no ticks: this is the last time that was told",
  refused: "refused",
};

export class Face {
  #root = document.getElementById("clock");
  #date = document.getElementById("date");
  #seconds = textOf("seconds");
  #hundredths = textOf("hundredths");
  #zone = document.getElementById("zone-name").textContent;
  #offset = document.getElementById("zone-offset");
  #word = document.getElementById("state-word");

  // message: "2026-11-22 12:48:00.12"; at: the same instant in milliseconds since the Unix epoch.
  show({ message, at }) {
    const seconds = message.slice(11, 19);
    if (this.#seconds.data !== seconds) {
      this.#seconds.data = seconds;
      const local = Date.parse(`${message.slice(0, 10)}T${message.slice(11)}0Z`);
      setText(this.#date, dates.format(local));
      setText(this.#offset, this.#zone === "UTC" ? "" : offsetText(local - at));
    }
    this.#hundredths.data = message.slice(19);
  }

  // A state that nothing was ever shown in has no last time to speak of.
  state(state, reason = "") {
    this.#root.dataset.state = state;
    const shown = this.#seconds.data.startsWith("-") ? state : WORDS[state];
    setText(this.#word, reason ? `${shown}: ${reason}` : shown);
  }
}

// The offset of a zone, from milliseconds: "UTC+05:30".
function offsetText(milliseconds) {
  const minutes = Math.round(Math.abs(milliseconds) / 60_000);
  const two = (number) => String(number).padStart(2, "0");
  return `UTC${milliseconds < 0 ? "−" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

function textOf(id) {
  return document.getElementById(id).firstChild;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
