// The stream of ticks: one WebSocket, dialled again for as long as it takes.

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

// The one close code after which there is no coming back (clock/contract.py has them all).
const BROKEN_CONTRACT = 4008;

// A frame is {message, at}. `state` is "connecting", "open", "reconnecting" or "refused".
export class Stream {
  #url;
  #onFrame;
  #onState;
  #socket = null;
  #pause = FIRST_PAUSE;
  #flowingSince = null;
  #lastWord = 0;
  #watch = 0;

  constructor(url, onFrame, onState) {
    this.#url = url;
    this.#onFrame = onFrame;
    this.#onState = onState;
  }

  open(state = "connecting") {
    this.#onState(state);
    this.#flowingSince = null;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => socket === this.#socket && this.#onState("open");
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#closed(socket, event.code, event.reason);
    // One timer that looks when the last word came, and not one that is set anew for each of 100 frames a second.
    this.#lastWord = performance.now();
    this.#watch = setInterval(() => this.#checkSilence(), 1_000);
  }

  #take(data) {
    const now = performance.now();
    this.#lastWord = now;
    this.#flowingSince ??= now;
    if (now - this.#flowingSince > PROVEN_AFTER) this.#pause = FIRST_PAUSE;
    this.#onFrame(JSON.parse(data));
  }

  #checkSilence() {
    if (performance.now() - this.#lastWord < SILENT_AFTER) return;
    this.#socket.close();
    this.#dialAfter(SILENT_PAUSE);
  }

  #closed(socket, code, reason) {
    if (socket !== this.#socket) return; // it was given up before
    if (code === BROKEN_CONTRACT) {
      clearInterval(this.#watch);
      this.#onState("refused", reason);
      return;
    }
    this.#dialAfter(this.#pause);
    this.#pause = Math.min(this.#pause * 2, LAST_PAUSE);
  }

  #dialAfter(pause) {
    clearInterval(this.#watch);
    this.#socket.onmessage = null;
    this.#socket = null;
    this.#onState("reconnecting");
    setTimeout(() => this.open("reconnecting"), pause * (0.5 + Math.random() / 2));
  }
}
