/*
 * The timekeeper: the ticker's time, and how certain it is. It connects the parts: probes and frames feed the estimate, the
 * slewed clock follows the estimate, and the state says what the time is worth.
 *
 * All times are milliseconds; `now` is performance.now().
 */

import { Estimate } from "./estimate.js";
import { Freshness } from "./freshness.js";
import { Interruptions } from "./interruptions.js";
import { PRECISION_MS, Probes } from "./probes.js";
import { ServerOffset } from "./server_offset.js";
import { SlewedClock } from "./slewed_clock.js";
import { stateOf } from "./state.js";
import { AUTO, LOWEST_AUTO_RATE, Stream } from "./stream.js";

/**
 * @import { Estimated } from "./estimate.js"
 * @import { Answer } from "./probes.js"
 * @import { State } from "./state.js"
 * @import { Connection, Rate } from "./stream.js"
 */

// A server that does not know its bound still tells the time, from its last tick. That time is late by the lateness of the
// tick, mostly less than this. If it counted as exact, the next tick could contradict it.
const UNKNOWN_BOUND_MS = 10;

// A page that was busy for this long processes the frames that queued before it says that none arrive. That may take
// several tasks: Chromium delivers the first of the queued frames, and the rest a little later.
const BUSY_MS = 100;
const SETTLING_MS = 100;

// The page mentions a step for this long.
const STEP_SHOWN_MS = 5_000;

// The rate of a hidden page, in frames per second.
const HIDDEN_RATE = 1;

/** @type {Set<State>} */
const RUNNING = new Set(["live", "late", "holdover"]);
/** @type {Set<State>} */
const WITHOUT_FRAMES = new Set(["late", "holdover", "stopped"]);

/**
 * What the timekeeper knows at a moment. All times are milliseconds.
 *
 * @typedef {object} Reading
 * @property {State} state
 * @property {number | null} time - The ticker's time since the Unix epoch, or null if none should be shown.
 * @property {number | null} bound - `time` is off by at most this much; null if unknown.
 * @property {number | null} since - When the first missing frame was due at the latest; null if none is missing.
 * @property {string} reason - The server's reason, in the state "refused".
 * @property {boolean} stepped - The ticker's clock was set a moment ago.
 * @property {number | null} zoneOffset - Of the server's zone; null before the first frame.
 * @property {boolean | null | undefined} synchronised - Whether NTP or PTP disciplines the ticker's clock; null if the
 *   server does not know, undefined before its first answer.
 */

/**
 * Receives what happens, for diagnosis.
 *
 * @typedef {object} Watcher
 * @property {(data: string, arrived: number, at: number) => void} frame
 * @property {(answer: Answer) => void} probe
 * @property {(message: string) => void} note
 */

export class Timekeeper {
  #rate;
  #watcher;
  #onVersion;
  #estimate = new Estimate(() => this.#onDoubt());
  #clock = new SlewedClock();
  #freshness = new Freshness();
  #interruptions;
  #probes;
  #stream;
  /** @type {Connection | null} */
  #connection = null; // of the last frame
  #lastAt = 0; // of the last frame
  /** The time between the last two frames, by their `at`. */
  gap = Infinity;
  #isBoundUnknown = false; // to the server
  /** @type {boolean | null | undefined} */
  #synchronised = undefined;
  #forgotten = 0; // when the evidence was dropped
  #isContradicted = false; // the estimate was contradicted, and no time was shown since
  #steppedUntil = -Infinity;
  /** @type {string | null} */
  #reason = null; // why the server refused
  #serverOffset = new ServerOffset();
  /** @type {State} */
  #state = "connecting";
  #lastRead = -Infinity;
  #isSettling = false;

  /**
   * @param {object} options
   * @param {Rate} options.rate - The server refuses an invalid one.
   * @param {Watcher | null} [options.watcher]
   * @param {(version: string | null) => void} [options.onVersion] - Called with the page's version at the server.
   */
  constructor({ rate, watcher = null, onVersion = () => {} }) {
    this.#rate = rate;
    this.#watcher = watcher;
    this.#onVersion = onVersion;
    this.#interruptions = new Interruptions({
      slept: () => this.#restartEvidence("suspended, or the device's clock was set"),
      hidden: () => this.#onHidden(),
      shown: () => this.#onShown(),
      restored: () => this.#onRestored(),
    });
    this.#probes = new Probes(
      new URL("/clock/now", location.href).href,
      (answer) => this.#onAnswer(answer),
      () => this.#estimate.pause,
    );
    const address = new URL("/ws/clock/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#stream = new Stream(address, rate, {
      readsAll: watcher !== null,
      frame: (data, connection, now) => this.#onFrame(data, connection, now),
      refused: (reason) => {
        this.#reason = reason;
      },
      note: (message) => this.#watcher?.note(message),
      probe: () => this.#probes.send(),
    });
  }

  start() {
    this.#forgotten = performance.now();
    this.#interruptions.watch();
    this.#stream.open();
    this.#probes.burst();
    addEventListener("online", () => this.#probes.send());
  }

  /**
   * Returns what to show at `now`.
   *
   * @param {number} now
   * @returns {Reading}
   */
  read(now) {
    this.#interruptions.check(now);
    const estimated = this.#estimate.read(now);
    const shown = estimated && this.#clock.follow(now, estimated);
    if (shown) {
      if (shown.stepped && this.#isContradicted) this.#steppedUntil = now + STEP_SHOWN_MS;
      this.#isContradicted = false;
    }
    if (now - this.#lastRead > BUSY_MS) this.#settle();
    if (!this.#isSettling || shown === null) this.#updateState(now, estimated, shown?.bound ?? null);
    this.#lastRead = now;
    const isRunning = shown !== null && RUNNING.has(this.#state);
    return {
      state: this.#state,
      time: isRunning ? shown.time : null,
      bound: isRunning && !this.#isBoundUnknown ? shown.bound : null,
      since: this.#since(),
      reason: this.#reason ?? "",
      stepped: now < this.#steppedUntil,
      zoneOffset: this.#serverOffset.milliseconds,
      synchronised: this.#synchronised,
    };
  }

  /** The longest time between two frames, in milliseconds. So a change of the rate by the server changes no state. */
  get #period() {
    const { rate } = this.#stream;
    return 1_000 / (rate === AUTO ? LOWEST_AUTO_RATE : rate);
  }

  /** Keeps the state until queued frames are processed. If frames were missing before, there is nothing to wait for. */
  #settle() {
    if (this.#isSettling || this.#state !== "live") return;
    this.#isSettling = true;
    setTimeout(() => {
      this.#isSettling = false;
      const now = performance.now();
      const estimated = this.#estimate.read(now);
      this.#updateState(now, estimated, estimated && this.#clock.follow(now, estimated).bound);
    }, SETTLING_MS);
  }

  /**
   * @param {number} now
   * @param {Estimated | null} estimated
   * @param {number | null} bound
   */
  #updateState(now, estimated, bound) {
    this.#state = stateOf({
      refused: this.#reason !== null,
      bound,
      age: estimated && this.#freshness.age(now, estimated.offset),
      period: this.#period,
      waited: now - this.#forgotten,
    });
  }

  #since() {
    if (!WITHOUT_FRAMES.has(this.#state)) return null;
    const { newest } = this.#freshness;
    return newest && newest + this.#period;
  }

  /**
   * @param {string} data
   * @param {Connection} connection
   * @param {number} now
   */
  #onFrame(data, connection, now) {
    const arrived = now + PRECISION_MS;
    const { message, at } = JSON.parse(data);
    if (!Number.isFinite(at)) return;
    this.#watcher?.frame(data, arrived, at);
    // On one connection `at` rises, unless the ticker's clock was set. A new connection may lag a little.
    const setBack = connection === this.#connection && at <= this.#lastAt;
    if (setBack) this.#estimate.forget();
    // A suspend contradicts the estimate too. It is not looked for in each frame, because reading the device's clock can
    // take 15 µs; read() looks for it before anything is shown.
    if ((!this.#estimate.frame(arrived, at) || setBack) && !this.#interruptions.check(now)) {
      this.#freshness.forget();
      this.#onContradiction();
    }
    this.#serverOffset.frame(message, at);
    this.#freshness.frame(arrived, at);
    this.#connection = connection;
    this.gap = (at - this.#lastAt) / connection.unread;
    this.#lastAt = at;
  }

  /** @param {Answer} answer */
  #onAnswer(answer) {
    this.#interruptions.check(performance.now());
    this.#watcher?.probe(answer);
    this.#stream.answered();
    this.#onVersion(answer.version);
    const { sent, received, at, bound, synchronised } = answer;
    this.#synchronised = synchronised;
    if (sent + PRECISION_MS < this.#forgotten) return; // this page's clock may have stood still since
    const isBoundUnknown = bound === null;
    if (this.#isBoundUnknown && !isBoundUnknown) this.#forget();
    if (!this.#isBoundUnknown && isBoundUnknown) this.#probes.burst(); // a ticker that just started will know it soon
    this.#isBoundUnknown = isBoundUnknown;
    if (!this.#estimate.probe(sent, received, at, bound ?? UNKNOWN_BOUND_MS)) this.#onContradiction();
  }

  /** The ticker's clock was set, or another ticker took over. The estimate has dropped all older evidence. */
  #onContradiction() {
    this.#watcher?.note("contradiction");
    this.#clock.allowStep();
    this.#isContradicted = true;
    this.#forgotten = performance.now();
    this.#probes.burst();
  }

  /** A clock may have another rate than before. An answer tells; a page that nobody sees can wait for it. */
  #onDoubt() {
    this.#watcher?.note("the drift may have changed");
    if (!document.hidden) this.#probes.send();
  }

  /** @param {string} why */
  #restartEvidence(why) {
    this.#watcher?.note(why);
    this.#forget();
    this.#freshness.forgetTransit();
    this.#forgotten = performance.now();
    this.#probes.restart();
  }

  #forget() {
    this.#estimate.forget();
    this.#clock.allowStep();
  }

  #onHidden() {
    if (this.#rate !== HIDDEN_RATE) this.#stream.changeRate(HIDDEN_RATE);
  }

  #onShown() {
    this.#restartEvidence("shown again");
    this.#stream.changeRate(this.#rate);
  }

  #onRestored() {
    this.#restartEvidence("restored");
    this.#stream.restart();
  }
}
