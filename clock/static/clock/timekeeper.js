// The timekeeper: what time it is at the ticker, and how sure that is. It puts the parts together: probes and frames feed
// the estimate, the estimate is shown, and the state says what that is worth.
//
// All times are milliseconds; `now` is performance.now().

import { Estimate } from "./estimate.js";
import { Freshness } from "./freshness.js";
import { Interruptions } from "./interruptions.js";
import { PRECISION } from "./precision.js";
import { Probes } from "./probes.js";
import { Shown } from "./shown.js";
import { judge } from "./state.js";
import { Stream } from "./stream.js";

// A server that does not know its bound still tells the time, from the last tick that came: what it tells is late by what
// that tick was late, mostly less than this. Were it taken as exact, the next tick could prove it wrong.
const UNPROVED = 10;

// A page that was busy for so long takes in what queued before it says that nothing came. It may take some tasks: Chromium
// hands out the first of the frames that wait, and the rest a little later.
const BUSY = 100;
const SETTLING = 100;

// How long a step is announced.
const ANNOUNCED = 5_000;

// The rate of a page that nobody sees.
const HIDDEN_RATE = 1;

const RUNNING = new Set(["live", "late", "holdover"]);
const WITHOUT_FRAMES = new Set(["late", "holdover", "stopped"]);

export class Timekeeper {
  #rate;
  #watcher;
  #estimate = new Estimate();
  #shown = new Shown();
  #freshness = new Freshness();
  #interruptions;
  #probes;
  #stream;
  #line = null; // the connection that the last frame came by
  #lastAt = 0; // of the last frame
  #unproved = false; // the server does not know its bound
  #synchronised = undefined; // whether the ticker's clock is, once the server told; null where it does not know
  #forgot = 0; // when what was known was forgotten
  #contradicted = false; // since then, no time was shown that the contradiction led to
  #steppedUntil = -Infinity;
  #reason = null; // a text, once the server has refused
  #zoneOffset = null;
  #zoneUntil = 0; // when it is to be looked at again: at the next whole second
  #state = "connecting";
  #lastRead = -Infinity;
  #isSettling = false;

  // `rate` is one of the contract's, or null for its default; one that is none goes to the server, which says so. `watcher`
  // may have frame(data, arrived, at), probe(answer) and note(text), for diagnosis: see raw.js.
  constructor({ rate = null, watcher = null } = {}) {
    this.#rate = rate;
    this.#watcher = watcher;
    this.#interruptions = new Interruptions({
      slept: () => this.#forget("slept, or the device's clock was set"),
      hidden: () => this.#hide(),
      shown: () => this.#show(),
      restored: () => this.#restore(),
    });
    this.#probes = new Probes(new URL("/clock/now", location.href).href, (answer) => this.#takeProbe(answer));
    const address = new URL("/ws/clock/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#stream = new Stream(address, rate, {
      frame: (data, line, now) => this.#takeFrame(data, line, now),
      refused: (reason) => (this.#reason = reason),
      note: (text) => this.#watcher?.note(text),
      ask: () => this.#probes.ask(),
    });
  }

  start() {
    this.#forgot = performance.now();
    this.#interruptions.watch();
    this.#stream.open();
    this.#probes.burst();
    addEventListener("online", () => this.#probes.ask());
  }

  // Returns what is to be shown at `now`:
  //
  // state: see state.js. time: since the Unix epoch as the ticker has it, or null where none is to be shown. bound: by how
  // much it may be off, or null where that is not known. since: when the next frame was due, of those that are missing,
  // else null. reason: the server's, for refused. stepped: whether the ticker's clock was set just now. zoneOffset: of the
  // server's zone, or null before the first frame. synchronised: whether the ticker's clock is, or null where the server
  // does not know; undefined before it was asked.
  read(now) {
    this.#interruptions.check(now);
    const told = this.#estimate.read(now);
    const shown = told && this.#shown.follow(now, told);
    if (shown) {
      if (shown.stepped && this.#contradicted) this.#steppedUntil = now + ANNOUNCED;
      this.#contradicted = false;
    }
    if (now - this.#lastRead > BUSY) this.#settle();
    if (!this.#isSettling || shown === null) this.#judge(now, told, shown);
    this.#lastRead = now;
    const running = shown !== null && RUNNING.has(this.#state);
    return {
      state: this.#state,
      time: running ? shown.time : null,
      bound: running && !this.#unproved ? shown.bound : null,
      since: this.#since(),
      reason: this.#reason ?? "",
      stepped: now < this.#steppedUntil,
      zoneOffset: this.#zoneOffset,
      synchronised: this.#synchronised,
    };
  }

  // Milliseconds from frame to frame.
  get #period() {
    return 1_000 / (this.#stream.rate || Number(this.#rate) || 100);
  }

  // Where frames were missing before the page was busy, there is nothing to wait for.
  #settle() {
    if (this.#isSettling || this.#state !== "live") return;
    this.#isSettling = true;
    setTimeout(() => {
      this.#isSettling = false;
      const now = performance.now();
      const told = this.#estimate.read(now);
      this.#judge(now, told, told && this.#shown.follow(now, told));
    }, SETTLING);
  }

  #judge(now, told, shown) {
    this.#state = judge({
      refused: this.#reason !== null,
      bound: shown && shown.bound,
      age: told && this.#freshness.age(now, told.offset),
      period: this.#period,
      waited: now - this.#forgot,
    });
  }

  #since() {
    if (!WITHOUT_FRAMES.has(this.#state)) return null;
    const newest = this.#freshness.newest;
    return newest && newest + this.#period;
  }

  #takeFrame(data, line, now) {
    const arrived = now + PRECISION;
    const { message, at } = JSON.parse(data);
    if (!Number.isFinite(at)) return;
    this.#watcher?.frame(data, arrived, at);
    this.#interruptions.check(now);
    // On one connection `at` rises, unless the ticker's clock was set. On another it may lag a little.
    const setBack = line === this.#line && at <= this.#lastAt;
    if (setBack) this.#estimate.forget();
    if (!this.#estimate.frame(arrived, at) || setBack) {
      this.#freshness.forget();
      this.#step();
    }
    if (at >= this.#zoneUntil || at < this.#zoneUntil - 1_000) {
      this.#zoneOffset = Date.parse(`${message.slice(0, 10)}T${message.slice(11)}0Z`) - at;
      this.#zoneUntil = Math.ceil((at + 1) / 1_000) * 1_000;
    }
    this.#freshness.frame(arrived, at);
    this.#line = line;
    this.#lastAt = at;
  }

  #takeProbe(answer) {
    this.#interruptions.check(performance.now());
    this.#watcher?.probe(answer);
    this.#stream.answered();
    const { sent, received, at, bound, synchronised } = answer;
    this.#synchronised = synchronised;
    if (sent + PRECISION < this.#forgot) return; // asked by a clock that may have stood still since
    const unproved = bound === null;
    if (this.#unproved && !unproved) this.#forgetQuietly();
    if (!this.#unproved && unproved) this.#probes.burst(); // a ticker that has just begun will know it soon
    this.#unproved = unproved;
    if (!this.#estimate.probe(sent, received, at, bound ?? UNPROVED)) this.#step();
  }

  // What came contradicts what was known: the ticker's clock was set, or another ticker's is in its place. The estimate
  // has forgotten all but what came.
  #step() {
    this.#watcher?.note("contradiction");
    this.#shown.mayStep();
    this.#contradicted = true;
    this.#forgot = performance.now();
    this.#probes.burst();
  }

  #forget(why) {
    this.#watcher?.note(why);
    this.#forgetQuietly();
    this.#freshness.forgetTransit();
    this.#forgot = performance.now();
    this.#probes.restart();
  }

  #forgetQuietly() {
    this.#estimate.forget();
    this.#shown.mayStep();
  }

  #hide() {
    const rate = Number(this.#rate ?? 100);
    if (rate > HIDDEN_RATE) this.#stream.changeRate(HIDDEN_RATE);
  }

  #show() {
    this.#forget("shown again");
    this.#stream.changeRate(this.#rate);
  }

  #restore() {
    this.#forget("restored");
    this.#stream.restart();
  }
}
