/*
 * The stream of frames: one WebSocket, which reconnects until it succeeds.
 *
 * While the server is unavailable, the page sends probes, and connects only after an answer: a probe fails at once and costs
 * nothing, whereas Chromium delays each WebSocket by seconds after about a dozen that failed.
 */

// The pause before the next connection doubles from the first to the longest. Each is drawn from its upper half, so that
// viewers whose worker died do not all come back at once.
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

// Frames must flow for this long before the pause is reset. Otherwise the page would reconnect endlessly to a server that
// accepts every viewer and disconnects it at once.
const PROVEN_AFTER_MS = 5_000;

// An open socket without a frame for this long is closed. The pause before the next connection does not grow: the server
// exists, and when ticks return, the page should not wait.
const SILENT_AFTER_MS = 5_000;
const SILENT_PAUSE_MS = 2_000;

// Close codes of clock/contract.py, and their pauses.
const BROKEN_CONTRACT = 4008;
const GOING_AWAY = 4012;
const GOING_AWAY_PAUSE_MS = 250;
const FULL = 4013;
const FULL_PAUSE_MS = 10_000;

/**
 * @typedef {object} Connection
 * @property {WebSocket} socket
 * @property {number} rate
 * @property {number} flowingSince - When its first frame came; 0 before.
 */

/**
 * @typedef {object} StreamHandlers
 * @property {(data: string, connection: Connection, now: number) => void} frame
 * @property {(reason: string) => void} refused - The server told the page not to connect again.
 * @property {(message: string) => void} note - Something happened; for diagnosis.
 * @property {() => void} probe - Asks for probes until the server answers: see answered().
 */

export class Stream {
  #url;
  #rate;
  #defaultRate;
  #handlers;
  /** @type {Connection | null} */
  #current = null; // in use, or being opened
  /** @type {Connection | null} */
  #next = null; // at another rate; replaces the current one with its first frame
  #pause = FIRST_PAUSE_MS;
  #lastFrame = 0;
  #timer = 0;
  #rateTimer = 0;
  #awaitsAnswer = false;

  /**
   * @param {URL} url
   * @param {{ rate: number, defaultRate: number }} rates - In frames per second. The default is left out of the address.
   * @param {StreamHandlers} handlers
   */
  constructor(url, { rate, defaultRate }, handlers) {
    this.#url = url;
    this.#rate = rate;
    this.#defaultRate = defaultRate;
    this.#handlers = handlers;
  }

  /** The rate of the current connection, in frames per second; 0 while there is none. */
  get rate() {
    return this.#current?.rate ?? 0;
  }

  open() {
    setInterval(() => this.#checkSilence(), 1_000); // not a timer that each of 100 frames a second resets
    this.#connect();
  }

  /**
   * Changes the rate by a new connection. The old one stays until the new one delivers frames.
   *
   * @param {number} rate
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
    if (this.#rate !== this.#defaultRate) url.searchParams.set("rate", String(this.#rate));
    this.#handlers.note(`connecting to ${url}`);
    const connection = { socket: new WebSocket(url), rate: this.#rate, flowingSince: 0 };
    const { socket } = connection;
    socket.onopen = () => this.#handlers.note("open");
    socket.onmessage = (event) => this.#onFrame(connection, event.data, event.timeStamp);
    socket.onclose = ({ code, reason }) => this.#onClose(connection, code, reason);
    return connection;
  }

  /**
   * @param {Connection} connection
   * @param {string} data
   * @param {number} now - The event's time: performance.now() without the cost of reading the clock.
   */
  #onFrame(connection, data, now) {
    this.#lastFrame = now;
    connection.flowingSince ||= now;
    if (connection === this.#next) {
      this.#disconnect(this.#current);
      this.#current = connection;
      this.#next = null;
    }
    if (now - connection.flowingSince > PROVEN_AFTER_MS) this.#pause = FIRST_PAUSE_MS;
    this.#handlers.frame(data, connection, now);
  }

  #checkSilence() {
    if (this.#current === null || performance.now() - this.#lastFrame < SILENT_AFTER_MS) return;
    this.#handlers.note("silent");
    this.#disconnect(this.#next);
    this.#disconnect(this.#current);
    this.#next = this.#current = null;
    this.#connectAfter(SILENT_PAUSE_MS);
  }

  /**
   * @param {Connection} connection
   * @param {number} code
   * @param {string} reason
   */
  #onClose(connection, code, reason) {
    this.#handlers.note(`closed ${code} ${reason}`);
    if (connection === this.#next) {
      this.#next = null; // the current one stays
      this.#rateTimer = setTimeout(() => this.changeRate(this.#rate), FULL_PAUSE_MS * (0.5 + Math.random() / 2));
      return;
    }
    this.#current = this.#next;
    this.#next = null;
    if (code === BROKEN_CONTRACT) {
      this.#disconnect(this.#current);
      this.#current = null;
      this.#handlers.refused(reason);
    } else if (this.#current !== null) {
      return; // the next connection is being opened
    } else if (code === GOING_AWAY && connection.flowingSince) {
      this.#timer = setTimeout(() => this.#connect(), GOING_AWAY_PAUSE_MS * Math.random());
    } else {
      this.#connectAfter(code === FULL ? Math.max(FULL_PAUSE_MS, this.#pause) : this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /**
   * After the pause, asks for probes; connects when the server answers.
   *
   * @param {number} pause
   */
  #connectAfter(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#awaitsAnswer = true;
        this.#handlers.probe();
      },
      pause * (0.5 + Math.random() / 2),
    );
  }

  /** @param {Connection | null} connection */
  #disconnect(connection) {
    if (connection === null) return;
    const { socket } = connection;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
