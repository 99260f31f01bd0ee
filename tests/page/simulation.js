// Runs the page's estimate against delays that are known, and so against the true offset. Served to a browser by the
// tests; returns what came out, and judges nothing.
//
// `network` has, in milliseconds: `out`, `back` and `frame` (functions of a random number generator that return a delay,
// or null for a loss), and `drift` (of the ticker's clock against the page's), `bound` (of a probe's answer), `wrong` (how
// far off an answer really is, at most; as much as its bound, if that is not said), `step` ({after, by}: the ticker's clock
// is set), `stall` ({every, lasts}: nothing comes, and then all of it).

// mulberry32: small, seeded, and good enough for delays.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const symmetric = (least, jitter) => (next) => least + jitter * next();
const exponential = (least, mean) => (next) => least - mean * Math.log(1 - next());
const spiky = (delay) => (next) => (next() < 0.05 ? 500 * next() : 0) + delay(next);
const lossy = (delay) => (next) => (next() < 0.2 ? null : delay(next));

const both = (delay, more = {}) => ({ out: delay, back: delay, frame: delay, drift: 0, bound: 0, step: null, stall: null, ...more });

export const NETWORKS = {
  loopback: both(symmetric(0.1, 0.3)),
  symmetric: both(symmetric(50, 60)),
  asymmetric: both(symmetric(5, 5), { out: symmetric(80, 20) }),
  "asymmetric the other way": both(symmetric(80, 20), { out: symmetric(5, 5) }),
  exponential: both(exponential(20, 30)),
  spikes: both(spiky(symmetric(20, 10))),
  loss: both(lossy(symmetric(20, 10))),
  stalls: both(symmetric(50, 60), { stall: { every: 25_000, lasts: 500 } }),
  "drift ahead": both(symmetric(50, 60), { drift: 200e-6 }),
  "drift behind": both(symmetric(50, 60), { drift: -200e-6 }),
  "a bound of the server": both(symmetric(10, 10), { bound: 3 }),
  "a step ahead": both(symmetric(20, 20), { step: { after: 90_000, by: 3_600_000 } }),
  "a step back": both(symmetric(20, 20), { step: { after: 90_000, by: -3_600_000 } }),
};

// Returns the events of a run, in the order in which the page sees them: {when, kind, sent, at}.
function events(network, next, duration, probeTimes, truth) {
  const all = [];
  let last = 0;
  const { every, lasts } = network.stall ?? { every: Infinity, lasts: 0 };
  const stalled = (when) => (when >= every && when % every < lasts ? when - (when % every) + lasts : when);
  for (let sent = 0; sent < duration; sent += 10) {
    const delay = network.frame(next);
    if (delay === null) continue;
    last = Math.max(last, stalled(sent + delay)); // TCP keeps the order
    all.push({ when: last, kind: "frame", at: Math.floor(truth(sent) / 10) * 10 });
  }
  for (const sent of probeTimes) {
    const out = network.out(next);
    const back = network.back(next);
    if (out === null || back === null) continue;
    const wrong = (network.wrong ?? network.bound) * (2 * next() - 1);
    all.push({ when: stalled(sent + out + back), kind: "probe", sent, at: truth(sent + out) + wrong });
  }
  return all.filter(({ when }) => when < duration).sort((one, other) => one.when - other.when);
}

// Runs `Estimate` and `Shown` for `duration`; returns the worst of what was seen.
//
// median, worst: errors of the estimate; medianOfSmallest: of believing the middle of the smallest round trip of the last
// minute instead; outside: how often the true time was not within the stated bound (of the estimate, and of
// what is shown); widest: the bound as a multiple of (half the smallest round trip of the last minute + the server's bound +
// the drift allowance), a few seconds after the start and after a step apart; back: how often the shown time went back, other
// than by a step; steps: how often it was not slewed.
export function run({ Estimate, Shown, DRIFT }, network, seed, duration = 180_000) {
  const next = random(seed);
  const start = 1_795_351_680_000 + 1e6 * next();
  const truth = (now) =>
    start + now * (1 + network.drift) + (network.step && now >= network.step.after ? network.step.by : 0);
  const probeTimes = [];
  for (let when = 0; when < duration; when += when < 1_000 ? 150 : 10_000) probeTimes.push(when);
  if (network.step) for (let more = 100; more < 1_000; more += 150) probeTimes.push(network.step.after + more);

  const estimate = new Estimate();
  const shown = new Shown();
  const probes = [];
  const errors = [];
  const errorsOfSmallest = [];
  const result = { samples: 0, outside: 0, shownOutside: 0, widest: 0, back: 0, contradictions: 0, steps: 0, unknown: 0 };
  let before = -Infinity;
  let now = 0;
  for (const event of events(network, next, duration, probeTimes, truth)) {
    const agrees =
      event.kind === "probe"
        ? estimate.probe(event.sent, event.when, event.at, network.bound)
        : estimate.frame(event.when, event.at);
    if (event.kind === "probe") probes.push(event);
    if (!agrees) {
      result.contradictions += 1;
      shown.mayStep();
    }
    now = Math.max(now, event.when + next()); // painted a little later
    const told = estimate.read(now);
    if (told === null) {
      result.unknown += 1;
      continue;
    }
    const sinceStep = network.step && now >= network.step.after ? now - network.step.after : Infinity;
    const error = Math.abs(now + told.offset - truth(now));
    const { time, bound, stepped } = shown.follow(now, told);
    if (stepped) result.steps += 1;
    if (time < before && !stepped) result.back += 1;
    before = time;
    if (sinceStep < 1_500) continue; // until a frame or a probe tells of it, nobody can know
    errors.push(error);
    if (error > told.halfWidth) result.outside += 1;
    if (Math.abs(time - truth(now)) > bound) result.shownOutside += 1;
    while (probes[0]?.when <= now - 60_000) probes.shift();
    const halves = probes.map(({ sent, when }) => (when - sent) / 2);
    const allowed = Math.min(...probes.map(({ when }, index) => halves[index] + DRIFT * (now - when)));
    if (now > 5_000 && sinceStep > 5_000)
      result.widest = Math.max(result.widest, told.halfWidth / (allowed + network.bound));
    if (probes.length > 0 && sinceStep === Infinity) {
      const { when, at } = probes[halves.indexOf(Math.min(...halves))];
      errorsOfSmallest.push(Math.abs(at + Math.min(...halves) + (now - when) - truth(now)));
    }
  }
  return {
    ...result,
    samples: errors.length,
    median: median(errors),
    worst: Math.max(...errors),
    medianOfSmallest: median(errorsOfSmallest),
  };
}

const median = (numbers) => numbers.sort((one, other) => one - other)[numbers.length >> 1];
