// The stream of frames: one WebSocket, dialled again for as long as it takes.
//
// While the server is away it is asked for the time, and dialled only when it answers: a question fails at once and costs
// nothing, but after a dozen dials that failed Chromium delays each by seconds.

// Milliseconds. The pause before the next dial doubles from the first to the last, and is drawn from its upper half,
// so that a crowd whose worker died does not come back in step.
const FIRST_PAUSE = 250;
const LAST_PAUSE = 15_000;

// Frames must have flowed for this long before the pause starts from the first again: a server that takes everybody in
// and drops them at once would otherwise be dialled without end.
const PROVEN_AFTER = 5_000;

// An open socket that says nothing for this long is given up, and the next is dialled after this pause, which does not
// grow: there was somebody, and when the ticks come back nobody should sit out a long pause.
const SILENT_AFTER = 5_000;
const SILENT_PAUSE = 2_000;

// Close codes (clock/contract.py has them all), and pauses for them.
const BROKEN_CONTRACT = 4008;
const GOING_AWAY = 4012;
const GOING_AWAY_PAUSE = 250;
const FULL = 4013;
const FULL_PAUSE = 10_000;

const framesPerSecond = (rate) => Number(rate ?? 100);

export class Stream {
  #url;
  #rate;
  #on;
  #line = null; // {socket, rate, flowingSince}: the one in use, or being dialled
  #next = null; // at another rate; takes its place with its first frame
  #pause = FIRST_PAUSE;
  #lastWord = 0;
  #timer = 0;
  #rateTimer = 0;
  #awaitsAnswer = false;

  // `on` has functions: frame(data, line, now), where `line` is an object for each connection; refused(reason);
  // note(text), which says what happens; and ask(), which has the server asked until it answers.
  constructor(url, rate, on) {
    this.#url = url;
    this.#rate = rate;
    this.#on = on;
  }

  // Frames per second on the connection in use; 0 while there is none.
  get rate() {
    return this.#line?.rate ?? 0;
  }

  open() {
    setInterval(() => this.#checkSilence(), 1_000); // one timer, not one that 100 frames a second put off
    this.#dial();
  }

  // Asks for another rate: of a new connection, and lets the old one go when that brings frames.
  changeRate(rate) {
    this.#rate = rate;
    clearTimeout(this.#rateTimer);
    this.#letGo(this.#next);
    this.#next = null;
    if (this.#line === null || this.#line.rate === framesPerSecond(rate)) return;
    if (this.#line.flowingSince) {
      this.#next = this.#connect(rate);
    } else {
      this.#letGo(this.#line);
      this.#dial();
    }
  }

  // The server answers.
  answered() {
    if (this.#awaitsAnswer) this.#dial();
  }

  // Begins anew, whatever the connection says of itself.
  restart() {
    clearTimeout(this.#rateTimer);
    this.#letGo(this.#next);
    this.#letGo(this.#line);
    this.#next = this.#line = null;
    this.#pause = FIRST_PAUSE;
    this.#dial();
  }

  #dial() {
    clearTimeout(this.#timer);
    this.#awaitsAnswer = false;
    this.#lastWord = performance.now();
    this.#line = this.#connect(this.#rate);
  }

  #connect(rate) {
    const url = new URL(this.#url);
    if (rate !== null) url.searchParams.set("rate", rate);
    this.#on.note(`dialling ${url}`);
    const line = { socket: new WebSocket(url), rate: framesPerSecond(rate), flowingSince: 0 };
    line.socket.onopen = () => this.#on.note("open");
    line.socket.onmessage = (event) => this.#take(line, event.data, event.timeStamp);
    line.socket.onclose = ({ code, reason }) => this.#closed(line, code, reason);
    return line;
  }

  // `now`, of the event, is performance.now() without the price of another look at the clock.
  #take(line, data, now) {
    this.#lastWord = now;
    line.flowingSince ||= now;
    if (line === this.#next) {
      this.#letGo(this.#line);
      this.#line = line;
      this.#next = null;
    }
    if (now - line.flowingSince > PROVEN_AFTER) this.#pause = FIRST_PAUSE;
    this.#on.frame(data, line, now);
  }

  #checkSilence() {
    if (this.#line === null || performance.now() - this.#lastWord < SILENT_AFTER) return;
    this.#on.note("silent");
    this.#letGo(this.#next);
    this.#letGo(this.#line);
    this.#next = this.#line = null;
    this.#dialAfter(SILENT_PAUSE);
  }

  #closed(line, code, reason) {
    this.#on.note(`closed ${code} ${reason}`);
    if (line === this.#next) {
      this.#next = null; // the one in use goes on
      this.#rateTimer = setTimeout(() => this.changeRate(this.#rate), FULL_PAUSE * (0.5 + Math.random() / 2));
      return;
    }
    this.#line = this.#next;
    this.#next = null;
    if (code === BROKEN_CONTRACT) {
      this.#letGo(this.#line);
      this.#line = null;
      this.#on.refused(reason);
    } else if (this.#line !== null) {
      return; // the next is on its way
    } else if (code === GOING_AWAY && line.flowingSince) {
      this.#timer = setTimeout(() => this.#dial(), GOING_AWAY_PAUSE * Math.random());
    } else {
      this.#dialAfter(code === FULL ? Math.max(FULL_PAUSE, this.#pause) : this.#pause);
      this.#pause = Math.min(this.#pause * 2, LAST_PAUSE);
    }
  }

  // After the pause the server is asked; when it answers, it is dialled.
  #dialAfter(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#awaitsAnswer = true;
        this.#on.ask();
      },
      pause * (0.5 + Math.random() / 2),
    );
  }

  #letGo(line) {
    if (line === null) return;
    line.socket.onopen = line.socket.onmessage = line.socket.onclose = null;
    line.socket.close();
  }
}
