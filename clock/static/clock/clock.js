// The page: ticks come from the stream and go to the face, the newest once per animation frame.

import { Face } from "./face.js";
import { Stream } from "./stream.js";

// Milliseconds without a tick on an open socket after which the page says so; at a low rate, three periods.
const NO_TICKS_AFTER = 1_000;

const query = new URLSearchParams(location.search);
const rate = query.get("rate");
const noTicksAfter = Math.max(NO_TICKS_AFTER, 3_000 / (Number(rate) || 100));

const address = new URL("/ws/clock/", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
if (rate !== null) address.searchParams.set("rate", rate);

const face = new Face();
let newest = null;
let newestCame = 0;
let opened = 0;
let painting = false;
let streamState = "connecting";
let shownState = "";

function paint() {
  painting = false;
  face.show(newest);
  judge();
}

// What is shown on an open connection. One that has brought no frame yet proves nothing.
function worth(now) {
  if (now - Math.max(newestCame, opened) >= noTicksAfter) return "no ticks";
  if (newestCame >= opened) return "live";
  return newest === null ? "connecting" : "reconnecting";
}

function judge(reason = "") {
  const state = streamState === "open" ? worth(performance.now()) : streamState;
  if (state !== shownState) {
    shownState = state;
    face.state(state, reason);
  }
}

const stream = new Stream(
  address,
  (tick) => {
    newest = tick;
    newestCame = performance.now();
    if (!painting) {
      painting = true;
      requestAnimationFrame(paint);
    }
  },
  (state, reason) => {
    streamState = state;
    if (state === "open") opened = performance.now();
    judge(reason);
  },
);

stream.open();
setInterval(judge, 200);
