// What arrives, as it arrives: for `?raw`, to find out what is wrong on the way.

const NOTES = 8;
const WINDOW = 10_000; // milliseconds that rates and gaps are told of

export class Raw {
  #element;
  #frames = []; // [arrived, at] of the last WINDOW
  #data = "";
  #count = 0;
  #largestGap = 0;
  #backwards = 0;
  #probe = null;
  #notes = [];

  // Writes into an element whose white space is kept, such as <pre>.
  constructor(element) {
    this.#element = element;
  }

  frame(data, arrived, at) {
    const last = this.#frames.at(-1);
    if (last) {
      this.#largestGap = Math.max(this.#largestGap, arrived - last[0]);
      if (at <= last[1]) this.#backwards += 1;
    }
    this.#frames.push([arrived, at]);
    this.#data = data;
    this.#count += 1;
  }

  probe(answer) {
    this.#probe = answer;
  }

  note(text) {
    this.#notes = [`${(performance.now() / 1_000).toFixed(1)} s  ${text}`, ...this.#notes].slice(0, NOTES);
  }

  // Once per animation frame; `reading` is what Timekeeper.read returned for `now`.
  paint(now, { state, time, bound }) {
    const first = this.#frames.findIndex(([arrived]) => arrived > now - WINDOW);
    this.#frames.splice(0, first < 0 ? Math.max(0, this.#frames.length - 1) : first);
    this.#element.textContent = [
      this.#data || "no frame yet",
      `frames       ${this.#count}, ${this.#rate(now)} a second`,
      `age          ${this.#age(now, time)}`,
      `gaps         ${this.#gaps()}, largest ever ${milliseconds(this.#largestGap)}, backwards ${this.#backwards}`,
      `round trip   ${this.#roundTrip(now)}`,
      `estimate     ${state}, ± ${bound === null ? "unknown" : milliseconds(bound)}`,
      ...this.#notes,
    ].join("\n");
  }

  #rate(now) {
    return this.#frames.filter(([arrived]) => arrived > now - 1_000).length;
  }

  #age(now, time) {
    const last = this.#frames.at(-1);
    if (!last) return "unknown";
    const byAt = time === null ? "unknown" : milliseconds(time - last[1]);
    return `${milliseconds(Math.max(0, now - last[0]))} since it came, ${byAt} by its time`;
  }

  #gaps() {
    const gaps = this.#frames.slice(1).map(([arrived], index) => arrived - this.#frames[index][0]);
    return gaps.length ? `largest ${milliseconds(Math.max(...gaps))} of the last ${WINDOW / 1_000} s` : "none yet";
  }

  #roundTrip(now) {
    if (this.#probe === null) return "no answer yet";
    const { sent, received, age, bound, synchronised } = this.#probe;
    const stated = bound === null ? "unknown" : milliseconds(bound);
    const ago = ((now - received) / 1_000).toFixed(0);
    return `${milliseconds(received - sent)}, ${ago} s ago; the server: ± ${stated}, last tick ${milliseconds(age)} old, synchronised: ${synchronised ?? "unknown"}`;
  }
}

const milliseconds = (number) => `${number.toFixed(1)} ms`;
