// The stream of ticks: one WebSocket, dialled again for as long as it takes.

// Milliseconds. The pause before the next dial doubles from the first to the last, and is drawn from its upper half,
// so that a crowd whose worker died does not come back in step.
const FIRST_PAUSE = 250;
const LAST_PAUSE = 15_000;

// Frames must have flowed for this long before the pause starts from the first again: a server that takes everybody in
// and drops them at once would otherwise be dialled without end.
const PROVEN_AFTER = 5_000;

// An open socket that says nothing for this long is given up.
const SILENT_AFTER = 5_000;

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
  #silence = 0;

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
    socket.onopen = () => this.#onState("open");
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#closed(socket, event.code, event.reason);
    this.#watch();
  }

  #take(data) {
    const now = performance.now();
    this.#flowingSince ??= now;
    if (now - this.#flowingSince > PROVEN_AFTER) this.#pause = FIRST_PAUSE;
    this.#watch();
    this.#onFrame(JSON.parse(data));
  }

  #watch() {
    // One timer that looks at the time of the last word, and not a timer set anew for each of 100 frames a second.
    this.#lastWord = performance.now();
    if (this.#silence === 0) this.#silence = setInterval(() => this.#checkSilence(), 1_000);
  }

  #lastWord = 0;

  #checkSilence() {
    if (performance.now() - this.#lastWord < SILENT_AFTER) return;
    const socket = this.#socket;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
    this.#closed(socket, 1006, "");
  }

  #closed(socket, code, reason) {
    if (socket !== this.#socket) return;
    clearInterval(this.#silence);
    this.#silence = 0;
    if (code === BROKEN_CONTRACT) {
      this.#onState("refused", reason);
      return;
    }
    this.#onState("reconnecting");
    setTimeout(() => this.open("reconnecting"), this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LAST_PAUSE);
  }
}
