/*
 * The stream of frames: one WebSocket, which reconnects until it succeeds.
 *
 * While the server is unavailable, the page sends probes, and connects only after an answer: a probe fails at once and costs
 * nothing, whereas Chromium delays each WebSocket by seconds after about a dozen that failed.
 */

// The pause before the next connection doubles, up to the longest, and is drawn from its upper half: so not all viewers of a
// worker that died come back at once. After a full worker it is longer: those whom it refuses must cost it little.
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
const FIRST_FULL_PAUSE_MS = 10_000;
const LONGEST_FULL_PAUSE_MS = 60_000;
const jittered = (/** @type {number} */ pause) => pause * (0.5 + Math.random() / 2);

// Frames must flow for this long before the pause is reset: a server may accept every viewer and disconnect it at once.
const PROVEN_AFTER_MS = 5_000;
// An open socket without a frame for this long is closed. The next pause does not grow: the server exists.
const SILENT_AFTER_MS = 5_000;
const SILENT_PAUSE_MS = 2_000;
// Frames that arrive within this time of the last one that was read are only counted. Each tells the time once more, and
// reading all of 100 a second is a twentieth of what the whole page costs the main thread.
const READ_AGAIN_AFTER_MS = 22;

// Close codes of clock/contract.py.
const BROKEN_CONTRACT = 4008;
const GOING_AWAY = 4012;
const GOING_AWAY_PAUSE_MS = 250;
const FULL = 4013;

// The server's default, which is left out of the address.
const DEFAULT_RATE = 100;

/** The server chooses the rate, and may change it at any time; it is never lower than LOWEST_AUTO_RATE. */
export const AUTO = "auto";
export const LOWEST_AUTO_RATE = 10;

/** @typedef {number | typeof AUTO} Rate - Frames per second. */

/**
 * @typedef {object} Connection
 * @property {WebSocket} socket
 * @property {Rate} rate - As requested.
 * @property {number} flowingSince - When its first frame came; 0 before.
 * @property {number} unread - Frames since the last one that was read, with the one that is being read.
 */

/**
 * @typedef {object} StreamHandlers
 * @property {(data: string, connection: Connection, now: number) => void} frame
 * @property {boolean} [readsAll] - Whether all frames are read, for diagnosis.
 * @property {(reason: string) => void} refused - The server told the page not to connect again.
 * @property {(message: string) => void} note - Something happened; for diagnosis.
 * @property {() => void} probe - Asks for probes until the server answers: see answered().
 */

export class Stream {
  #url;
  #rate;
  #handlers;
  /** @type {Connection | null} */
  #current = null; // in use, or being opened
  /** @type {Connection | null} */
  #next = null; // at another rate; replaces the current one with its first frame
  #pause = FIRST_PAUSE_MS;
  #fullPause = FIRST_FULL_PAUSE_MS;
  #lastFrame = 0;
  #timer = 0;
  #rateTimer = 0;
  #awaitsAnswer = false;
  #isServerOld = false; // it knows neither `auto` nor `phase`

  /**
   * @param {URL} url
   * @param {Rate} rate
   * @param {StreamHandlers} handlers
   */
  constructor(url, rate, handlers) {
    this.#url = url;
    this.#rate = rate;
    this.#handlers = handlers;
  }

  /** The rate that the current connection requested; without a connection, the one that the next requests. */
  get rate() {
    return this.#current?.rate ?? this.#rate;
  }

  open() {
    setInterval(() => this.#checkSilence(), 1_000); // not a timer that each of 100 frames a second resets
    this.#connect();
  }

  /**
   * Changes the rate by a new connection. The old one stays until the new one delivers frames.
   *
   * @param {Rate} rate
   */
  changeRate(rate) {
    this.#rate = rate;
    clearTimeout(this.#rateTimer);
    this.#disconnect(this.#next);
    this.#next = null;
    if (this.#current === null || this.#current.rate === rate) return;
    if (this.#current.flowingSince) {
      this.#next = this.#openSocket();
    } else {
      this.#disconnect(this.#current);
      this.#connect();
    }
  }

  /** The server answered a probe. */
  answered() {
    if (this.#awaitsAnswer) this.#connect();
  }

  /** Reconnects, even if the current connection looks open. */
  restart() {
    clearTimeout(this.#rateTimer);
    this.#disconnect(this.#next);
    this.#disconnect(this.#current);
    this.#next = this.#current = null;
    this.#pause = FIRST_PAUSE_MS;
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#awaitsAnswer = false;
    this.#lastFrame = performance.now();
    this.#current = this.#openSocket();
  }

  #openSocket() {
    const url = new URL(this.#url);
    const rate = this.#rate;
    const isRequested = rate === AUTO ? !this.#isServerOld : rate !== DEFAULT_RATE;
    if (isRequested) url.searchParams.set("rate", String(rate));
    // The page paints from its estimate, so it does not matter which tick of a period it receives.
    if (isRequested && rate !== AUTO && !this.#isServerOld) url.searchParams.set("phase", "any");
    this.#handlers.note(`connecting to ${url}`);
    const connection = { socket: new WebSocket(url), rate, flowingSince: 0, unread: 0 };
    const { socket } = connection;
    socket.onopen = () => this.#handlers.note("open");
    socket.onmessage = (event) => this.#onFrame(connection, event);
    socket.onclose = ({ code, reason }) => this.#onClose(connection, code, reason);
    return connection;
  }

  /**
   * @param {Connection} connection
   * @param {MessageEvent<string>} event - Its time is performance.now() without the cost of reading the clock.
   */
  #onFrame(connection, event) {
    const now = event.timeStamp;
    connection.unread += 1;
    if (now - this.#lastFrame < READ_AGAIN_AFTER_MS && connection.flowingSince && !this.#handlers.readsAll) return;
    this.#lastFrame = now;
    if (!connection.flowingSince) this.#onFirstFrame(connection, now);
    if (now - connection.flowingSince > PROVEN_AFTER_MS) this.#pause = FIRST_PAUSE_MS;
    this.#handlers.frame(event.data, connection, now);
    connection.unread = 0;
  }

  /**
   * The server has accepted the connection.
   *
   * @param {Connection} connection
   * @param {number} now
   */
  #onFirstFrame(connection, now) {
    connection.flowingSince = now;
    this.#fullPause = FIRST_FULL_PAUSE_MS;
    if (connection !== this.#next) return;
    this.#disconnect(this.#current);
    this.#current = connection;
    this.#next = null;
  }

  #checkSilence() {
    if (this.#current === null || performance.now() - this.#lastFrame < SILENT_AFTER_MS) return;
    this.#handlers.note("silent");
    this.#disconnect(this.#next);
    this.#disconnect(this.#current);
    this.#next = this.#current = null;
    this.#connectAfter(jittered(SILENT_PAUSE_MS));
  }

  /**
   * @param {Connection} connection
   * @param {number} code
   * @param {string} reason
   */
  #onClose(connection, code, reason) {
    this.#handlers.note(`closed ${code} ${reason}`);
    const mayBeOld = code === BROKEN_CONTRACT && !connection.flowingSince && connection.rate !== DEFAULT_RATE;
    const retries = mayBeOld && !this.#isServerOld;
    this.#isServerOld ||= mayBeOld;
    if (connection === this.#next) {
      this.#next = null; // the current one stays
      const pause = retries ? 0 : this.#nextFullPause();
      this.#rateTimer = setTimeout(() => this.changeRate(this.#rate), pause);
      return;
    }
    this.#current = this.#next;
    this.#next = null;
    if (retries) {
      this.#connect();
    } else if (code === BROKEN_CONTRACT) {
      this.#disconnect(this.#current);
      this.#current = null;
      this.#handlers.refused(reason);
    } else if (this.#current !== null) {
      return; // the next connection is being opened
    } else if (code === GOING_AWAY && connection.flowingSince) {
      this.#timer = setTimeout(() => this.#connect(), GOING_AWAY_PAUSE_MS * Math.random());
    } else if (code === FULL) {
      this.#connectAfter(this.#nextFullPause());
    } else {
      this.#connectAfter(jittered(this.#pause));
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    }
  }

  #nextFullPause() {
    const pause = this.#fullPause;
    this.#fullPause = Math.min(pause * 2, LONGEST_FULL_PAUSE_MS);
    return jittered(pause);
  }

  /**
   * After the pause, asks for probes; connects when the server answers.
   *
   * @param {number} pause
   */
  #connectAfter(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#awaitsAnswer = true;
      this.#handlers.probe();
    }, pause);
  }

  /** @param {Connection | null} connection */
  #disconnect(connection) {
    if (connection === null) return;
    const { socket } = connection;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
